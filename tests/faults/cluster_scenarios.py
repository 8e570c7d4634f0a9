"""What the drill does to a RabbitMQ cluster of three nodes: one of them is lost at a time, and nothing else may be.

Written as those in ``scenarios``. Each returns when all three nodes belong to the cluster again.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from tests.faults.deployment import Deployment
from tests.faults.plan import DrillError
from tests.faults.scenarios import Scenario
from wavecom.broker import topology
from wavecom.core.lanes import LANES
from wavecom.local.rabbitmq import PrivateRabbitMQ

#: Longer than it takes until the others give up a node that says nothing (net_ticktime), and until all has moved.
AWAY_SECONDS = 25
#: After what is done to a node before anything is broken.
CALM_SECONDS = 10
PAUSE_LIMIT_SECONDS = 30.0

_REJOIN_SECONDS = 240
#: Each look costs three starts of a command-line tool.
_LOOK_SECONDS = 4
_LANE_QUEUES = frozenset(topology.queue_of(lane) for lane in LANES)


def _leader_of_most_lanes(deployment: Deployment) -> PrivateRabbitMQ:
    lanes = Counter(node.title for node in _lane_leaders(deployment).values())
    if not lanes:
        raise DrillError("no lane has a leader")
    [(title, count)] = lanes.most_common(1)
    deployment.mark(f"{title} leads {count} of {len(_LANE_QUEUES)} queues of lanes")
    return next(node for node in deployment.cluster.nodes if node.title == title)


def _lane_leaders(deployment: Deployment) -> dict[str, PrivateRabbitMQ]:
    return {queue: node for queue, node in deployment.cluster.leaders().items() if queue in _LANE_QUEUES}


def _follower(deployment: Deployment) -> PrivateRabbitMQ:
    """A node that leads no lane: what it led is given to others, as maintenance does."""
    node = deployment.cluster.nodes[0]

    def leads_nothing() -> bool:
        return node not in _lane_leaders(deployment).values()

    node.ctl("drain", program="rabbitmq-upgrade")
    # Revived before others are elected, it may be elected again.
    deployment.wait_until(leads_nothing, _REJOIN_SECONDS, _LOOK_SECONDS)
    node.ctl("revive", program="rabbitmq-upgrade")
    _wait_until_whole(deployment)
    if not leads_nothing():
        raise DrillError(f"{node.title} leads a lane again")
    deployment.mark(f"{node.title} leads no lane")
    deployment.pause(CALM_SECONDS)
    return node


def _wait_until_whole(deployment: Deployment) -> None:
    if not deployment.wait_until(deployment.cluster.is_whole, _REJOIN_SECONDS, _LOOK_SECONDS):
        raise DrillError("the nodes did not find each other again; see logs/wavecom*.log")


def _start_again(deployment: Deployment, node: PrivateRabbitMQ) -> None:
    node.launch()
    if not deployment.wait_until(node.answers, _REJOIN_SECONDS, 0.5):
        raise DrillError(f"{node.title} did not start again; see {node.log}")
    _wait_until_whole(deployment)


def _killed(choose: Callable[[Deployment], PrivateRabbitMQ]) -> Callable[[Deployment], None]:
    def act(deployment: Deployment) -> None:
        node = choose(deployment)
        with deployment.trouble(f"{node.title} killed with kill -9"):
            node.kill()
            deployment.pause(AWAY_SECONDS)
            _start_again(deployment, node)

    return act


@contextlib.contextmanager
def _frozen(node: PrivateRabbitMQ) -> Iterator[None]:
    os.kill(node.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(node.pid, signal.SIGCONT)


@contextlib.contextmanager
def _cut_off(deployment: Deployment, node: PrivateRabbitMQ) -> Iterator[None]:
    deployment.cluster.cut_off(node)
    try:
        yield
    finally:
        deployment.cluster.heal(node)


def _node_frozen(deployment: Deployment) -> None:
    node = _leader_of_most_lanes(deployment)
    with deployment.trouble(f"{node.title} frozen (SIGSTOP)"):
        with _frozen(node):
            # Not shortened: the others give it up by their own clock.
            deployment.pause(AWAY_SECONDS / deployment.plan.pace)
        # It saw a majority as soon as it ran again, so it did not pause; the databases of the nodes stay parted.
        deployment.pause(CALM_SECONDS / deployment.plan.pace)
        deployment.mark(
            f"{node.title} runs again: the cluster is {'' if deployment.cluster.is_whole() else 'not '}whole"
        )
        node.ctl("stop_app")
        node.ctl("start_app")
        deployment.mark(f"{node.title} restarted (rabbitmqctl stop_app, start_app)")
        _wait_until_whole(deployment)


def _node_cut_off(deployment: Deployment) -> None:
    node = _leader_of_most_lanes(deployment)
    with deployment.trouble(f"{node.title} cut off from the other nodes"):
        with _cut_off(deployment, node):
            deployment.pause(AWAY_SECONDS / deployment.plan.pace)
        _wait_until_whole(deployment)


def _rolling_restart(deployment: Deployment) -> None:
    cluster = deployment.cluster
    for node in cluster.nodes:
        node.ctl("await_online_quorum_plus_one", program="rabbitmq-upgrade")
        with deployment.trouble(f"{node.title} restarted"):
            node.terminate()
            deployment.wait_until(lambda node=node: not node.is_running, node.stop_seconds + 20, 0.2)
            node.kill()
            _start_again(deployment, node)
    with deployment.trouble("leaders rebalanced"):
        # Of all queues together, the delay queues might get all leaders of one node.
        cluster.queues("rebalance", "quorum", "--queue-pattern", r"^notifications\.")
    counts = Counter(node.title for node in _lane_leaders(deployment).values())
    deployment.mark(", ".join(f"{title} leads {count} queues" for title, count in sorted(counts.items())))


def _disk_alarm(deployment: Deployment) -> None:
    node = deployment.cluster.nodes[0]
    with deployment.trouble(f"{node.title} has a disk alarm: all nodes block who publishes"):
        node.ctl("set_disk_free_limit", "1000000GB")
        try:
            deployment.pause(15)
        finally:
            node.ctl("set_disk_free_limit", "200MB")


def _node_wiped(deployment: Deployment) -> None:
    cluster = deployment.cluster
    node = _leader_of_most_lanes(deployment)
    other = cluster.running(other_than=node)
    with deployment.trouble(f"{node.title} killed, its disk lost"):
        node.kill()
        cluster.wipe(node)
        deployment.pause(10)
        # In this order: a member that has forgotten what it promised may not vote.
        cluster.queues("shrink", node.node, on=other)
        other.ctl("forget_cluster_node", node.node)
        deployment.mark(f"{node.title} forgotten")
        _start_again(deployment, node)
        deployment.mark(f"{node.title} has joined, empty")
        cluster.queues("grow", node.node, "all", on=other)
    if missing := _lanes_without(deployment, node):
        raise DrillError(f"{node.title} is no member of {', '.join(missing)}")
    deployment.mark(f"{node.title} is a member of every lane's queue")


def _lanes_without(deployment: Deployment, node: PrivateRabbitMQ) -> list[str]:
    lines = deployment.rabbitmq.ctl(
        "list_queues", "--silent", "--no-table-headers", "-p", node.logins.vhost, "name", "members"
    ).splitlines()
    members = dict(line.split("\t") for line in lines if "\t" in line)
    return sorted(queue for queue in _LANE_QUEUES if node.node not in members.get(queue, ""))


_scenario = partial(Scenario, has_cluster=True, delivers_within_seconds=PAUSE_LIMIT_SECONDS)

SCENARIOS: tuple[Scenario, ...] = (
    _scenario(
        "leader-killed", "kill -9 of the node that leads most lanes; back after 25 s", _killed(_leader_of_most_lanes)
    ),
    _scenario("follower-killed", "kill -9 of a node that leads no lane; back after 25 s", _killed(_follower)),
    _scenario("node-frozen", "the node that leads most lanes frozen (SIGSTOP) for 25 s, then restarted", _node_frozen),
    _scenario(
        "node-cut-off",
        "the node that leads most lanes cut off from the others, not from clients, for 25 s (pause_minority)",
        _node_cut_off,
    ),
    _scenario("rolling-restart", "the three nodes restarted in turn, then leaders rebalanced", _rolling_restart),
    _scenario("disk-alarm", "a disk alarm on one node for 15 s, which blocks publishers on all", _disk_alarm),
    _scenario(
        "node-wiped",
        "the node that leads most lanes killed with its disk lost; it joins again, empty, and is grown into each queue",
        _node_wiped,
    ),
)
