"""What an application under test is told: its providers, its addresses, and the settings that were set on purpose."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from harness.environment import own_settings
from harness.subject import ApplicationSetup, DeploymentConfig, ProviderPlan, WaveCom
from wavecom.local.ports import LOOPBACK


def config_in(home: Path, shape: ApplicationSetup) -> DeploymentConfig:
    return DeploymentConfig(
        home=home,
        logs=home,
        shape=shape,
        environment={"PATH": "/usr/bin"},
        api_port=8000,
        api_key="wc_live_e2Xm7RkTz9LbQ4nVc8HsYp0JdGaEuW1fK5oBiMxCzNh",
        amqp_url="amqp://guest:guest@127.0.0.1:1/",
        redis_url="redis://127.0.0.1:1/0",
        mongodb_uri="mongodb://127.0.0.1:1/wavecom",
        provider_ports={name: 9000 + number for number, name in enumerate(shape.providers)},
    )


def test_settings_of_our_environment_reach_every_process_but_what_the_place_decides_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAVECOM_WORKER_NICENESS", "3")
    monkeypatch.setenv("WAVECOM_FAST_PATHS", "0")
    monkeypatch.setenv("WAVECOM_PORT", "1")
    monkeypatch.setenv("WAVECOM_HOME", "/elsewhere")

    variables = WaveCom(own_settings()).environment(config_in(tmp_path, ApplicationSetup()))

    assert (variables["WAVECOM_WORKER_NICENESS"], variables["WAVECOM_FAST_PATHS"]) == ("3", "0")
    assert (variables["WAVECOM_PORT"], variables["WAVECOM_HOME"]) == ("8000", str(tmp_path))
    assert variables["PATH"] == "/usr/bin"


def test_variables_of_one_process_are_its_own(tmp_path: Path) -> None:
    application = WaveCom(extra_of={"worker2": {"FAKETIME": "+5s"}})
    config = config_in(tmp_path, ApplicationSetup(workers=2))

    told = {title: application.environment(config, title).get("FAKETIME") for title in ("worker1", "worker2", "")}

    assert told == {"worker1": None, "worker2": "+5s", "": None}


def test_a_channel_of_several_providers_is_theirs_in_the_order_of_the_shape(tmp_path: Path) -> None:
    plan = ProviderPlan(rate_per_second=200, timeout_seconds=3)

    WaveCom().processes(
        config_in(tmp_path, ApplicationSetup({"second": plan, "first": plan, "slow": ProviderPlan(channels=("push",))}))
    )

    written = tomllib.loads((tmp_path / "providers.toml").read_text(encoding="utf-8"))
    assert written["routes"] == {
        "email": ["second", "first"],
        "sms": ["second", "first"],
        "push": ["second", "first", "slow"],
    }
    assert written["providers"]["first"] == {
        "type": "http",
        "url": f"http://{LOOPBACK}:9001/send",
        "is_idempotent": True,
        "rate_per_second": 200,
        "timeout_seconds": 3,
    }
    assert "timeout_seconds" not in written["providers"]["slow"]
