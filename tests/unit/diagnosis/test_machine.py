"""What ``wavecom doctor`` says of settings that can be read."""

from __future__ import annotations

import re
from pathlib import Path

from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.diagnosis.machine import check_disk, check_settings
from wavecom.settings import Settings

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


def found(home: Path, **environment: str) -> dict[str, CheckResult]:
    home.chmod(0o700)
    settings = Settings.from_environment({"WAVECOM_HOME": str(home), **environment})
    return {each.subject: each for each in check_settings(DiagnosisContext(settings=settings))}


def test_no_documented_setting_is_taken_for_a_mistake(tmp_path: Path) -> None:
    table = GUIDE.read_text(encoding="utf-8").split("## Processes")[0]
    rows = "".join(re.findall(r"^\| `.*? \|", table, re.MULTILINE))
    # Empty is as good as not set.
    documented = dict.fromkeys(re.findall(r"`(WAVECOM_[A-Z_]+)`", rows), "")

    results = found(tmp_path, **{name: value for name, value in documented.items() if name != "WAVECOM_HOME"})

    assert len(documented) > 40
    assert set(documented) & set(results) <= {"WAVECOM_METRICS_PORT"}


def test_a_setting_that_is_misspelt_is_named(tmp_path: Path) -> None:
    results = found(tmp_path, WAVECOM_WORKER_CONCURENCY="64")

    assert results["WAVECOM_WORKER_CONCURENCY"].severity is Severity.WARNING


def test_what_the_providers_file_refers_to_may_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text('token = "$WAVECOM_GATEWAY_TOKEN"')

    results = found(tmp_path, WAVECOM_GATEWAY_TOKEN="t", WAVECOM_PROVIDERS=str(file))

    assert "WAVECOM_GATEWAY_TOKEN" not in results


def test_guest_no_metrics_and_an_open_home_are_worth_a_look(tmp_path: Path) -> None:
    careless = found(tmp_path)
    tmp_path.chmod(0o755)
    settings = Settings.from_environment({"WAVECOM_HOME": str(tmp_path)})
    opened = {each.subject for each in check_settings(DiagnosisContext(settings=settings))}
    careful = found(tmp_path, AMQP_URL="amqp://wavecom:secret@host/", WAVECOM_METRICS_PORT="9100")

    assert {"AMQP_URL", "WAVECOM_METRICS_PORT"} <= set(careless)
    assert "WAVECOM_HOME" in opened - set(careless)
    assert set(careful) == {"environment"}


def test_a_home_that_is_not_there_is_an_error_and_the_servers_disks_are_looked_at_all_the_same(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path / "gone",
        mongodb_uri="mongodb://127.0.0.1:1/w?serverSelectionTimeoutMS=1",
        rabbitmq_api_url="http://monitor:hunter2@127.0.0.1:1/api/",
    )

    results = list(check_disk(DiagnosisContext(settings=settings)))

    assert [(each.subject, each.severity) for each in results] == [
        ("WAVECOM_HOME", Severity.ERROR),
        ("MongoDB", Severity.ERROR),
        ("RabbitMQ", Severity.WARNING),
    ]
    assert "hunter2" not in str(results)
