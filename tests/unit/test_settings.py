from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest

import wavecom.settings
from wavecom.amqp_address import TlsFiles
from wavecom.core.receipt_thresholds import ReceiptThresholds
from wavecom.errors import SettingsError
from wavecom.settings import SERVERS_FILE, Settings

REPOSITORY = Path(wavecom.settings.__file__).parents[1]
SOURCE = Path(wavecom.settings.__file__).read_text(encoding="utf-8")


def test_without_anything_set_there_are_defaults_for_one_machine() -> None:
    settings = Settings.from_environment({})

    assert (settings.host, settings.port, settings.providers_file) == ("127.0.0.1", 8000, None)


def test_variables_are_read_by_their_type(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"WAVECOM_HOME": str(tmp_path), "WAVECOM_PORT": "9001", "WAVECOM_RETRY_BASE_SECONDS": "1.5", "WAVECOM_HOST": ""}
    )

    assert (settings.home, settings.port, settings.retry_base_seconds) == (tmp_path, 9001, 1.5)
    assert settings.host == "127.0.0.1", "an empty variable counts as one that is not set"


def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment(
            {
                "WAVECOM_PORT": "http",
                "WAVECOM_WORKERS": "0",
                "AMQP_URL": "rabbit:5672",
                "WAVECOM_API_KEY": "short",
                "WAVECOM_PROVIDERS": str(tmp_path / "missing.toml"),
                "WAVECOM_LOG_LEVEL": "loud",
            }
        )

    assert {problem.where for problem in refusal.value.problems} == {
        "WAVECOM_PORT",
        "WAVECOM_WORKERS",
        "AMQP_URL",
        "WAVECOM_API_KEY",
        "WAVECOM_PROVIDERS",
        "WAVECOM_LOG_LEVEL",
    }


def test_when_receipts_are_slow_or_bad_is_set() -> None:
    settings = Settings.from_environment(
        {
            "WAVECOM_RECEIPT_SLOW_SECONDS": "60",
            "WAVECOM_RECEIPT_SLOW_SHARE": "0.3",
            "WAVECOM_RECEIPT_BAD_SHARE": "0.5",
            "WAVECOM_RECEIPT_WINDOW_SECONDS": "600",
            "WAVECOM_RECEIPT_LEAST_MESSAGES": "200",
        }
    )

    assert settings.receipt_thresholds == ReceiptThresholds(
        slow_after_seconds=60, slow_share=0.3, bad_share=0.5, window_seconds=600, least_messages=200
    )


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"WAVECOM_RECEIPT_SLOW_SHARE": "15"}, "WAVECOM_RECEIPT_SLOW_SHARE"),
        ({"WAVECOM_RECEIPT_WINDOW_SECONDS": "3600"}, "WAVECOM_RECEIPT_WINDOW_SECONDS"),
        ({"WAVECOM_RECEIPT_SLOW_SECONDS": "721"}, "WAVECOM_RECEIPT_WINDOW_SECONDS"),
        ({"WAVECOM_RECEIPT_WINDOW_SECONDS": "479"}, "WAVECOM_RECEIPT_WINDOW_SECONDS"),
    ],
)
def test_thresholds_by_which_nothing_could_be_judged_are_refused(variables: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment(variables)

    assert [problem.where for problem in refusal.value.problems] == [name]


def test_a_wrong_secret_is_never_shown() -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment({"WAVECOM_API_KEY": "hunter2", "AMQP_URL": "rabbit://user:hunter2@host"})

    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://user:hunter#2@host"),
        ("REDIS_URL", "redis://:hunter/2@host"),
        ("REDIS_URL", "rediss://user:123#hunter@host/0"),
        ("REDIS_URL", "redis://user:123/hunter@host"),
        ("REDIS_URL", "redis://[hunter@host"),
        ("REDIS_URL", "redis://host:70000"),
        ("WAVECOM_RABBITMQ_API_URL", "http://monitor:hunter?2@host/api/"),
        ("MONGODB_URI", "mongodb://user:hunter/2@host/wavecom"),
        ("MONGODB_URI", "mongodb://user:123/hunter@host/wavecom"),
        ("MONGODB_URI", "mongodb://user:hunter?2@host"),
        ("MONGODB_URI", "mongodb://user:hunter@2@one,two/wavecom"),
        ("MONGODB_URI", "mongodb+srv://user:hunter:2@host/wavecom"),
        ("MONGODB_URI", "mongodb://user:hunter%2@host/wavecom"),
        ("MONGODB_URI", "mongodb://one,,two/wavecom"),
    ],
)
def test_an_address_whose_password_is_not_escaped_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment({name: value})

    [problem] = refusal.value.problems
    assert problem.where == name
    assert "%-escapes" in problem.message
    assert "hunter" not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://user:sec%23ret@host:6379/0?ssl_ca_certs=/etc/a@b.pem"),
        ("REDIS_URL", "rediss://:secret@[::1]/1"),
        ("REDIS_URL", "unix:///run/redis@1.sock?db=0"),
        ("WAVECOM_RABBITMQ_API_URL", "https://monitor:s%2Fcret@host:15672/api/"),
        ("MONGODB_URI", "mongodb://one:27017,two,[::1]:27018/wavecom?replicaSet=rs0&appName=a@b"),
        ("MONGODB_URI", "mongodb://user:sec#ret@host"),
        ("MONGODB_URI", "mongodb+srv://user:s%40cret@cluster.example/?retryWrites=true"),
        ("MONGODB_URI", "mongodb://%2Frun%2Fmongodb.sock/wavecom"),
        ("MONGODB_URI", "mongodb://host?replicaSet=rs0"),
    ],
)
def test_addresses_that_the_clients_can_read_are_taken(name: str, value: str) -> None:
    settings = Settings.from_environment({name: value})

    assert value in {settings.redis_url, settings.rabbitmq_api_url, settings.mongodb_uri}


@pytest.mark.parametrize("name", ["WAVECOM_API_KEY", "WAVECOM_OPERATOR_PASSWORD", "WAVECOM_SECRET_KEY"])
@pytest.mark.parametrize("secret", ["a" * 16, "correct horse battery staple", "wc_live_" + "k" * 43])
def test_a_secret_that_can_be_guessed_is_refused_with_the_command_that_makes_a_good_one(name: str, secret: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment({name: secret})

    [problem] = refusal.value.problems
    assert problem.where == name
    assert "128 bits" in problem.message
    assert "openssl rand -base64 32" in problem.message
    assert secret not in str(refusal.value)


def test_secrets_are_not_in_the_representation() -> None:
    settings = Settings.from_environment(
        {
            "WAVECOM_API_KEY": "wc_live_9fQ2xLr7VtB4nZk1mWc8HsYp0JdGaEuT",
            "WAVECOM_SECRET_KEY": "Zr4mT9qWx2Lk7VbN1cYh8PsJd0GfEuAo",
            "TOKEN": "tok-1",
            "MONGODB_URI": "mongodb://ours:pw-1@mongo/wavecom",
            "AMQP_URL": "amqp://ours:pw-2@rabbit//",
            "REDIS_URL": "redis://ours:pw-3@redis/0",
        }
    )

    shown = repr(settings)

    assert "9fQ2" not in shown
    assert "Zr4m" not in shown
    assert "tok-1" not in shown
    assert "pw-" not in shown


def test_servers_of_a_running_launcher_are_found_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / SERVERS_FILE).write_text("AMQP_URL=amqp://private//\nREDIS_URL=redis://private\n")

    settings = Settings.from_environment({"WAVECOM_HOME": str(tmp_path), "REDIS_URL": "redis://ours"})

    assert (settings.amqp_url, settings.redis_url) == ("amqp://private//", "redis://ours")


def test_the_files_for_tls_belong_to_the_address_of_the_broker(tmp_path: Path) -> None:
    for name in ("ca.pem", "we.pem", "we.key"):
        (tmp_path / name).touch()

    settings = Settings.from_environment(
        {
            "AMQP_URL": "amqps://user:secret@one,two/mail",
            "WAVECOM_AMQP_CA_FILE": str(tmp_path / "ca.pem"),
            "WAVECOM_AMQP_CERT_FILE": str(tmp_path / "we.pem"),
            "WAVECOM_AMQP_KEY_FILE": str(tmp_path / "we.key"),
        }
    )

    assert str(settings.amqp) == "one:5671,two:5671"
    assert settings.amqp.tls == TlsFiles(tmp_path / "ca.pem", tmp_path / "we.pem", tmp_path / "we.key")
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("name", ["WAVECOM_AMQP_CA_FILE", "WAVECOM_AMQP_CERT_FILE", "WAVECOM_AMQP_KEY_FILE"])
@pytest.mark.parametrize("address", [{"AMQP_URL": "amqp://user:secret@rabbit/mail"}, {}])
def test_a_file_for_tls_beside_an_address_without_it_is_refused(
    tmp_path: Path, name: str, address: dict[str, str]
) -> None:
    (tmp_path / "file.pem").touch()

    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment({"WAVECOM_HOME": str(tmp_path), name: str(tmp_path / "file.pem"), **address})

    assert [problem.where for problem in refusal.value.problems] == [name]
    assert "amqps://" in str(refusal.value)


def test_a_key_without_its_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "we.key").touch()

    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment({"AMQP_URL": "amqps://rabbit/", "WAVECOM_AMQP_KEY_FILE": str(tmp_path / "we.key")})

    [problem] = refusal.value.problems
    assert problem.where == "WAVECOM_AMQP_KEY_FILE"
    assert "WAVECOM_AMQP_CERT_FILE" in problem.message


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    read = set(re.findall(r'"((?:WAVECOM_[A-Z_]+)|MONGODB_URI|AMQP_URL|REDIS_URL)"', SOURCE))
    table = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8").split("## Processes")[0]
    documented = set(re.findall(r"`((?:WAVECOM_[A-Z_]+)|MONGODB_URI|AMQP_URL|REDIS_URL)`", table))

    assert documented == read


def test_nothing_else_reads_the_environment() -> None:
    # Launcher and command line are the processes' first readers: they hand the environment on.
    readers = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "wavecom").rglob("*.py")
        if "os.environ" in path.read_text(encoding="utf-8") and "local" not in path.parts
    }

    assert readers <= {"wavecom/settings.py", "wavecom/cli.py"}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("https://notify.bank.example", "https://notify.bank.example"),
        ("https://bank.example/notify/", "https://bank.example/notify"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_the_public_address_ends_without_a_slash(value: str, read: str) -> None:
    assert Settings.from_environment({"WAVECOM_PUBLIC_URL": value}).public_url == read


@pytest.mark.parametrize(
    "value",
    ["notify.bank.example", "ftp://bank.example", "https://user@bank.example", "https://bank.example/?a=1", "https://"],
)
def test_a_public_address_that_is_none_is_named(value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment({"WAVECOM_PUBLIC_URL": value})

    assert [problem.where for problem in refusal.value.problems] == ["WAVECOM_PUBLIC_URL"]


def test_answers_to_help_are_read_by_language() -> None:
    settings = Settings.from_environment({"WAVECOM_HELP_TEXTS": '{"en": "Call us.", "de": "Ruf uns an."}'})

    assert settings.help_texts == {"en": "Call us.", "de": "Ruf uns an."}
    assert Settings.from_environment({}).help_texts == {}


@pytest.mark.parametrize(
    "value",
    ["Call us.", '["en"]', '{"xx": "Call us."}', '{"en": " "}', '{"en": 1}', '{"en": "' + "x" * 671 + '"}', "1"],
)
def test_answers_to_help_that_nobody_could_send_are_named(value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment({"WAVECOM_HELP_TEXTS": value})

    assert [problem.where for problem in refusal.value.problems] == ["WAVECOM_HELP_TEXTS"]
