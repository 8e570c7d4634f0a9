"""The files in deploy/ name what there is: settings, processes, queues, ports, and times that are long enough."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import wavecom.settings
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.cli import main
from wavecom.core.autoscaling import ScalingPolicy, assumed_worker_per_second
from wavecom.core.lanes import QueueLayout
from wavecom.local.programs import PROGRAMS
from wavecom.services.autoscaling import policy_of
from wavecom.setting_values import MOST_PARTITIONS
from wavecom.settings import Settings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "wavecom"
FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]
PROCESSES = {program.name for program in PROGRAMS}
WEB = ("helm", "wavecom", "templates", "web.yaml")
#: A worker gives up on its last calls after 25 seconds.
LEAST_STOP_SECONDS = 30


def text_of(*parts: str) -> str:
    return DEPLOY.joinpath(*parts).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text_of("helm", "wavecom", "values.yaml"))
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text_of("compose.yaml"))["services"]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_that_a_file_names_exists(path: Path) -> None:
    source = Path(wavecom.settings.__file__).read_text(encoding="utf-8")
    known = set(re.findall(r'"(WAVECOM_[A-Z_]+|MONGODB_URI|AMQP_URL|REDIS_URL)"', source)) | {"WAVECOM_HOME"}
    named = set(re.findall(r"\b(?:WAVECOM_[A-Z_]+|MONGODB_URI|AMQP_URL|REDIS_URL)\b", path.read_text(encoding="utf-8")))

    assert named <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_process_that_a_file_starts_exists(path: Path) -> None:
    started = re.findall(r"wavecom[\", ]+start[\", ]+([a-z-]+)", path.read_text(encoding="utf-8"))

    assert set(started) <= PROCESSES


def test_compose_and_chart_run_every_process(services: dict[str, Any]) -> None:
    assert {service["command"][-1] for service in services.values() if "wavecom" in service.get("command", "")} == (
        PROCESSES
    )
    chart = "".join(path.read_text(encoding="utf-8") for path in CHART.joinpath("templates").glob("*.yaml"))
    assert set(re.findall(r'"process" "([a-z-]+)" "values"', chart)) == PROCESSES


def test_the_units_say_how_every_process_is_enabled() -> None:
    enabled = re.findall(r"wavecom(?:-(worker))?@([a-z-]+|1)\b", text_of("systemd", "wavecom.target"))

    assert {worker or name for worker, name in enabled} == PROCESSES
    assert "Environment=WAVECOM_HOME=/var/lib/wavecom HONCHO_PROCESS_NAME=worker%i" in text_of(
        "systemd", "wavecom-worker@.service"
    )


def test_a_worker_has_time_to_finish_its_calls(values: dict[str, Any], services: dict[str, Any]) -> None:
    assert values["terminationGracePeriodSeconds"] >= LEAST_STOP_SECONDS
    for unit in DEPLOY.glob("systemd/*.service"):
        assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.MULTILINE)[0]) >= LEAST_STOP_SECONDS
    graces = [each["stop_grace_period"] for each in services.values() if each.get("image") == "wavecom"]
    assert {int(grace.removesuffix("s")) >= LEAST_STOP_SECONDS for grace in graces} == {True}


def test_keda_has_the_numbers_of_the_autoscaler(values: dict[str, Any]) -> None:
    given, policy = values["autoscaling"], policy_of(Settings())

    assert (given["minReplicas"], given["maxReplicas"]) == (policy.least, policy.most)
    assert (given["drainSeconds"], given["scaleDownSeconds"]) == (policy.drain_seconds, policy.quiet_seconds)
    assert given["workerPerSecond"] == assumed_worker_per_second(Settings().worker_concurrency)
    assert given["headroom"] == {each.name: each.default for each in fields(ScalingPolicy)}["headroom"]


def test_keda_adds_up_the_queues_of_each_worker() -> None:
    template = text_of("helm", "wavecom", "templates", "autoscaling.yaml")
    patterns = dict(re.findall(r'^  "(worker|worker-high)" `(.*)`$', template, re.MULTILINE))
    partitions = topology.delivery_queues(QueueLayout(MOST_PARTITIONS))
    others = (topology.CALLBACKS, topology.PERIODIC_TASKS, topology.DEAD, topology.CANARY)
    queues = [queue.name for queue in (*partitions, *others)]
    looked_at = {
        process: {queue for queue in queues if re.search(pattern, queue)} for process, pattern in patterns.items()
    }
    started_with = {
        program.name: set(program.command.split(" -Q ")[1].split()[0].split(","))
        for program in PROGRAMS
        if program.name in looked_at
    }

    consumed = {
        process: {
            each
            for name in names
            for each in topology.partition_names(name, MOST_PARTITIONS if topology.is_delivery_queue(name) else 1)
        }
        for process, names in started_with.items()
    }

    assert len(looked_at) == 2
    assert looked_at == consumed
    # Of several triggers KEDA takes the largest.
    assert template.count("- type: rabbitmq") == 1
    assert "operation: sum" in template
    assert 'useRegex: "true"' in template


def test_pods_start_anew_when_their_settings_change() -> None:
    pod = text_of("helm", "wavecom", "templates", "_helpers.tpl").split('define "wavecom.pod"')[1]
    notes = text_of("helm", "wavecom", "templates", "NOTES.txt")

    assert "/settings.yaml" in pod.split("spec:")[0]
    assert "kubectl rollout restart" in notes


def test_ports_are_those_of_the_settings(values: dict[str, Any], services: dict[str, Any]) -> None:
    web, flower = str(Settings().port), str(Settings().flower_port)

    assert f"EXPOSE {web}\n" in text_of("Dockerfile")
    assert f"WAVECOM_PORT={web}" in text_of("Dockerfile")
    assert services["web"]["expose"] == [web]
    assert f":{flower}/healthcheck" in str(services["flower"]["healthcheck"])
    assert f"server web:{web} " in text_of("nginx.conf")
    templates = {path.name: path.read_text(encoding="utf-8") for path in CHART.joinpath("templates").iterdir()}
    assert f'"containerPort" {web}' in templates["web.yaml"]
    metrics = values["settings"]["WAVECOM_METRICS_PORT"]
    assert f'"containerPort" {metrics}' in templates["web.yaml"]
    assert f"port: {metrics}" in templates["network.yaml"]


def test_the_api_takes_requests_as_long_as_it_can_accept() -> None:
    probes = dict(re.findall(r'^{{- \$(\w+) := dict "httpGet" \(dict "path" "([^"]+)"', text_of(*WEB), re.MULTILINE))

    assert probes == {"ready": "/readyz/accepting", "live": "/healthz", "start": "/healthz"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_a_probe_ends_no_worker_for_what_another_would_not_mend(path: Path) -> None:
    asked = re.findall(r"wavecom health (\S+) \"", path.read_text(encoding="utf-8"))

    assert set(asked) <= {"--fatal"}
    assert path.name not in ("compose.yaml", "_helpers.tpl") or len(asked) == 2


def test_nginx_is_configured_as_the_guide_says() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split("```nginx\n")[1].split("```")[0]
    here = text_of("nginx.conf").split("\n", 1)[1]

    assert here == guide.replace("server 127.0.0.1:8000 ", "server web:8000 ")


def test_the_nodes_of_rabbitmq_are_configured_as_the_guide_says(services: dict[str, Any]) -> None:
    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split("### A RabbitMQ cluster")[1]
    advised = re.findall(r"^\| `([a-z_]+ = [a-z_0-9]+)` \|", guide, re.MULTILINE)
    lines = text_of("rabbitmq.conf").splitlines()
    nodes = [line.partition("@")[2] for line in lines if line.startswith("cluster_formation.classic_config.nodes")]
    address = re.findall(r"^AMQP_URL=(.*)$", text_of("wavecom.env.example"), re.MULTILINE)[0]

    assert advised
    assert set(advised) <= set(lines)
    assert [node.host for node in AmqpAddress.parse(address).nodes] == nodes
    assert all(services[node]["hostname"] == node for node in nodes)
    assert all(set(nodes) <= set(services[name]["depends_on"]) for name in PROCESSES)


def test_a_file_that_is_not_there_stops_the_start_and_the_header_names_it(services: dict[str, Any]) -> None:
    header = text_of("compose.yaml").split("\nname:")[0]
    mounts = [mount for service in services.values() for mount in service.get("volumes", ())]
    bound = [mount for mount in mounts if isinstance(mount, dict)]

    assert not [mount for mount in mounts if isinstance(mount, str) and mount.startswith((".", "/"))]
    assert all(mount["bind"] == {"create_host_path": False} and mount["read_only"] for mount in bound)
    for mount in bound:
        assert (DEPLOY / mount["source"]).is_file() or f"deploy/{mount['source'].removeprefix('./')}" in header


def test_the_key_of_mongodb_can_be_written_at_each_start(services: dict[str, Any]) -> None:
    for name in ("mongodb1", "mongodb2", "mongodb3"):
        folder = re.findall(r"--keyFile (\S+)/\w+", services[name]["entrypoint"][-1])[0]

        assert folder != "/tmp", "fs.protected_regular: root may not write there what belongs to another"
        assert f"install -d -m 0755 {folder}\n" in services[name]["entrypoint"][-1]


def test_nothing_runs_as_root_or_writes_its_root(services: dict[str, Any]) -> None:
    ours = [service for service in services.values() if service.get("image") == "wavecom"]

    assert len(ours) == len(PROCESSES)
    assert all(each["read_only"] and each["user"] == "10001" and each["cap_drop"] == ["ALL"] for each in ours)
    assert "\nUSER 10001\n" in text_of("Dockerfile")
    helpers = text_of("helm", "wavecom", "templates", "_helpers.tpl")
    assert "runAsNonRoot: true" in helpers
    assert "readOnlyRootFilesystem: true" in helpers


def test_no_file_holds_a_secret() -> None:
    for line in text_of("wavecom.env.example").splitlines():
        name, _, value = line.partition("=")
        if re.search(r"KEY|PASSWORD", name) and not line.startswith("#"):
            assert value == "", name
    assert not re.findall(r"^\s*kind: Secret$", "".join(path.read_text() for path in FILES), re.MULTILINE)


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_a_process_is_started_with_its_command_of_the_table(process: str) -> None:
    shown = CliRunner().invoke(main, ["start", process, "--show"], env={"WAVECOM_PORT": "8123"})
    program = next(program for program in PROGRAMS if program.name == process)

    assert shown.exit_code == 0
    assert shown.output.split() == program.arguments({"WAVECOM_PORT": "8123"})


def test_a_process_that_there_is_not_is_refused_with_those_there_are() -> None:
    refused = CliRunner().invoke(main, ["start", "mailer"])

    assert refused.exit_code == 2
    assert "There is no process mailer; there are web, worker" in refused.output
