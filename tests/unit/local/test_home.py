"""The home folder: one launcher at a time, secrets made once, private servers found by commands beside it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wavecom.errors import ConfigurationError
from wavecom.local.home import AlreadyRunningError, Home, RunningLauncher
from wavecom.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_a_second_launcher_learns_who_is_there(home: Home) -> None:
    launcher = RunningLauncher(os.getpid(), "http://127.0.0.1:8000")

    with home.exclusive() as announce:
        announce(launcher)
        with pytest.raises(AlreadyRunningError) as refused, home.exclusive():
            pass

    assert refused.value.launcher == launcher


def test_a_launcher_that_has_not_said_who_it_is_still_keeps_others_out(home: Home) -> None:
    with home.exclusive(), pytest.raises(AlreadyRunningError) as refused, home.exclusive():
        pass

    assert refused.value.launcher is None


def test_what_a_dead_launcher_wrote_keeps_nobody_out(home: Home) -> None:
    home.path.mkdir()
    (home.path / "run.lock").write_text('{"pid": 1, "url": "http://127.0.0.1:8000"}')

    with home.exclusive(), pytest.raises(AlreadyRunningError) as refused, home.exclusive():
        pass

    assert refused.value.launcher is None


def test_secrets_are_made_once_and_readable_by_their_owner_alone(home: Home) -> None:
    with home.exclusive():
        api_key, secret_key = home.api_key(), home.secret_key()

        assert (home.api_key(), home.secret_key()) == (api_key, secret_key)

    assert api_key.startswith("wc_live_")
    assert len(api_key) == len("wc_live_") + 43
    assert len(secret_key) == 43
    assert {stat.S_IMODE(file.stat().st_mode) for file in home.path.iterdir()} == {0o600}
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_every_home_has_secrets_of_its_own(tmp_path: Path) -> None:
    homes = [Home(tmp_path / name) for name in ("one", "two")]

    keys = set()
    for home in homes:
        with home.exclusive():
            keys.add(home.api_key())

    assert len(keys) == 2


def test_settings_find_the_published_servers_until_they_are_forgotten(home: Home) -> None:
    environment = {"WAVECOM_HOME": str(home.path)}
    with home.exclusive():
        home.publish_servers({"REDIS_URL": "redis://127.0.0.1:4711/0"})
        while_published = Settings.from_environment(environment)
        home.forget_servers()
        home.forget_servers()

    assert while_published.redis_url == "redis://127.0.0.1:4711/0"
    assert Settings.from_environment(environment).redis_url == Settings().redis_url


def test_what_an_older_version_left_open_is_closed(home: Home) -> None:
    old = [home.path / "logs", home.path / "logs" / "web.log", home.path / "health", home.path / "api-key"]
    home.path.mkdir(mode=0o755)
    for path in old:
        path.touch(0o644) if path.suffix or "-" in path.name else path.mkdir(0o755)
    foreign = home.path / "notes.txt"
    foreign.touch(0o644)

    with home.exclusive():
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home.path, *old)}

    assert modes == {"home": 0o700, "logs": 0o700, "web.log": 0o600, "health": 0o700, "api-key": 0o600}
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o644


def test_a_link_in_a_home_changes_nothing_outside_of_it(home: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch(0o644)
    (home.path / "logs").mkdir(parents=True)
    (home.path / "logs" / "link").symlink_to(outside)

    with home.exclusive():
        pass

    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


def test_a_folder_that_all_users_share_is_no_home(home: Home) -> None:
    home.path.mkdir()
    home.path.chmod(0o1777)

    with pytest.raises(ConfigurationError, match=r"WAVECOM_HOME.*folder of its own"), home.exclusive():
        pass

    assert stat.S_IMODE(home.path.stat().st_mode) == 0o1777
