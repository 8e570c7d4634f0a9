"""The secret that signs sessions."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

from flask import Flask, session

from wavecom.settings import Settings
from wavecom.web.dashboard.sessions import set_up_sessions


def test_the_settings_secret_is_used_when_there_is_one(tmp_path: Path) -> None:
    app = Flask(__name__)

    set_up_sessions(app, Settings(home=tmp_path, secret_key="s" * 32))

    assert app.secret_key == "s" * 32
    assert list(tmp_path.iterdir()) == []


def test_else_one_is_made_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "not" / "yet"
    first, second = Flask(__name__), Flask(__name__)

    set_up_sessions(first, Settings(home=home))
    set_up_sessions(second, Settings(home=home))

    [kept] = home.iterdir()
    assert first.secret_key == second.secret_key == kept.read_text()
    assert len(kept.read_text()) >= 43
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_processes_that_start_together_agree_on_one(tmp_path: Path) -> None:
    secrets: list[bytes] = []
    ready = threading.Barrier(8)

    def start() -> None:
        ready.wait()
        secrets.append(set_up_sessions(Flask(__name__), Settings(home=tmp_path)))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(secrets) == 8
    assert len(set(secrets)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_the_api_opens_no_session_whatever_cookie_comes_along(tmp_path: Path) -> None:
    app = Flask(__name__)
    set_up_sessions(app, Settings(home=tmp_path))

    with app.test_request_context("/login"):
        session["operator"] = "ann"
        response = app.process_response(app.make_response(""))
        cookie = response.headers["Set-Cookie"]
    with app.test_request_context("/api/notifications", headers={"Cookie": cookie}):
        assert "operator" not in session
        assert "Set-Cookie" not in app.process_response(app.make_response("")).headers
    with app.test_request_context("/notifications", headers={"Cookie": cookie}):
        assert session["operator"] == "ann"
