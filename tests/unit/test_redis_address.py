from __future__ import annotations

import pytest

from wavecom.errors import SettingsError
from wavecom.redis_address import SentinelAddress
from wavecom.settings import Settings
from wavecom.web.dashboard.settings_list import rows_of


def test_everything_that_an_address_says_is_read() -> None:
    read = SentinelAddress.parse(
        "rediss+sentinel://app:p%40s%2Fs@s1:26380,[::1]:26381,s3/my-service/3"
        "?sentinel_username=watch&sentinel_password=w%26w&ssl_ca_certs=/etc/ca.pem"
    )

    assert read == SentinelAddress(
        sentinels=(("s1", 26380), ("::1", 26381), ("s3", 26379)),
        service="my-service",
        database=3,
        user="app",
        password="p@s/s",
        sentinel_user="watch",
        sentinel_password="w&w",
        is_encrypted=True,
        tls_files={"ssl_ca_certs": "/etc/ca.pem"},
    )


def test_what_may_be_left_out_is_usual() -> None:
    assert SentinelAddress.parse("redis+sentinel://s1/limits") == SentinelAddress((("s1", 26379),), "limits")
    only_password = SentinelAddress.parse("redis+sentinel://:secret@s1/limits/")
    assert (only_password.user, only_password.password, only_password.database) == (None, "secret", 0)


def test_no_password_is_shown() -> None:
    read = SentinelAddress.parse("redis+sentinel://app:hunter2@s1/limits?sentinel_password=hunter3")

    assert "hunter" not in repr(read)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis+sentinel://s1,s2", "service"),
        ("redis+sentinel://s1,s2/", "service"),
        ("redis+sentinel:///limits", "name:port"),
        ("redis+sentinel://s1,,s2/limits", "name:port"),
        ("redis+sentinel://s1:0/limits", "name:port"),
        ("redis+sentinel://s1:70000/limits", "name:port"),
        ("redis+sentinel://s1:many/limits", "name:port"),
        ("redis+sentinel://s1/limits/first", "service"),
        ("redis+sentinel://:hunter/2@s1/limits", "%2F"),
        ("redis+sentinel://:hunter@2@s1/limits", "%40"),
        ("redis+sentinel://:hunter2@s1/limits#0", "%23"),
        ("redis+sentinel://s1/limits?db=3", "db"),
        ("redis+sentinel://s1/limits?ssl_ca_certs=/etc/ca.pem", "ssl_ca_certs"),
        ("redis-sentinel://s1/limits", "redis\\+sentinel://"),
    ],
)
def test_what_can_not_be_read_is_refused_with_what_to_change(url: str, text: str) -> None:
    with pytest.raises(ValueError, match=text) as refusal:
        SentinelAddress.parse(url)
    with pytest.raises(SettingsError) as unset:
        Settings.from_environment({"REDIS_URL": url})

    assert "hunter" not in str(refusal.value)
    assert "REDIS_URL" in str(unset.value)
    assert "hunter" not in str(unset.value)


def test_the_setting_takes_sentinels() -> None:
    url = "rediss+sentinel://app:s%23cret@s1:26379,s2:26379,s3/limits/0?sentinel_password=hunter2"

    settings = Settings.from_environment({"REDIS_URL": url})

    assert settings.redis_url == url
    [shown] = [row.value for row in rows_of(settings) if row.variable == "REDIS_URL"]
    assert not any(secret in shown for secret in ("cret", "hunter2"))
    assert "s2:26379" in shown
