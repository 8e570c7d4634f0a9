"""The capacity model: what a deployment needs for a rate, reckoned from measured costs, with the arithmetic. Pure.

It reckons with what one machine has shown: cores as fast as those of the report, groups as they form at the rate of
each process. What was not measured is assumed, and ``ASSUMED`` says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wavecom.core.connections import MONITORING, web_pool, worker_pool
from wavecom.core.costs import MeasuredCosts

#: Requests a second that one web process was seen to accept beside everything else (docs/performance.md).
WEB_PER_SECOND: Final = 2_000.0
#: Deliveries a second that one worker carries by its interpreter's lock.
WORKER_PER_SECOND: Final = 2_500.0
#: A job is in a worker's hand for its call, and this for claim and record.
CLAIM_AND_RECORD_SECONDS: Final = 0.1
#: Messages a second of one quorum queue, which one node leads and one of its cores serves.
QUEUE_PER_SECOND: Final = 5_000.0
#: BSON of a delivered short text message with its log, before compression; and what each receipt adds to the log.
DOCUMENT_BYTES: Final = 985
RECEIPT_BYTES: Final = 150

#: What was not measured, as sentences.
ASSUMED: Final = (
    "copies: the two other members of a replica set and of a quorum queue work as much as the first (they do less)",
    "a receipt costs a request of the web process and a record in MongoDB",
    "indexes take 300 bytes a notification",
    "a server has 16 cores, and 4 TB of disk where it stores",
    "the rate holds all day: reckon the store with your mean",
)
INDEX_BYTES: Final = 300
SERVER_CORES: Final = 16
SERVER_DISK_BYTES: Final = 4e12
COPIES: Final = 3

_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityNeed:
    """What is asked for. ``spare`` is the share of everything that is kept free for failures and slow hours."""

    rate_per_second: float
    latency_seconds: float = 0.05
    retention_days: float = 30
    receipts: float = 0
    calls_at_once: int = 384
    web_threads: int = 128
    spare: float = 1 / 3
    #: Share of all notifications that goes through the busiest lane.
    busiest_lane: float = 1.0


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One figure of a plan, with how it was reckoned."""

    what: str
    amount: float
    unit: str
    arithmetic: str


@dataclass(frozen=True, slots=True)
class CapacityLimit:
    """What one of something carries: ``rate_per_second`` notifications, and what to do about it."""

    what: str
    rate_per_second: float
    remedy: str


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """What a need comes to. ``limits`` are sorted by their rate: those below the need's are passed."""

    lines: Sequence[PlanLine]
    limits: Sequence[CapacityLimit]

    def amount(self, what: str) -> float:
        """The amount of the line called ``what``, in that line's unit. There must be one."""
        return next(line.amount for line in self.lines if line.what == what)


def plan(need: CapacityNeed, costs: MeasuredCosts) -> CapacityPlan:
    """What ``need`` takes, line by line, at the ``costs`` that were measured."""
    rate, keep = need.rate_per_second, 1 - need.spare
    webs = math.ceil(rate * (1 + need.receipts) / (WEB_PER_SECOND * keep)) + 1
    hand_seconds = need.latency_seconds + CLAIM_AND_RECORD_SECONDS
    per_worker = min(need.calls_at_once / hand_seconds, WORKER_PER_SECOND)
    workers = math.ceil(rate / (per_worker * keep)) + 1
    partitions = max(1, math.ceil(rate * need.busiest_lane / (QUEUE_PER_SECOND * keep)))
    document = DOCUMENT_BYTES + INDEX_BYTES + RECEIPT_BYTES * need.receipts
    stored = document * rate * _DAY_SECONDS * need.retention_days
    cores = _cores(need, costs, webs - 1, workers - 1)
    mongo_cores = next(line.amount for line in cores if line.what == "cores for MongoDB") / COPIES
    by_cores, by_disk = math.ceil(mongo_cores / SERVER_CORES), math.ceil(stored / SERVER_DISK_BYTES)
    shards = max(by_cores, by_disk, 1)
    web_connections, worker_connections = web_pool(need.web_threads), worker_pool(need.calls_at_once)
    connections = webs * (web_connections + MONITORING) + workers * (worker_connections + MONITORING)
    lines = [
        PlanLine(
            "web processes",
            webs,
            "",
            f"{rate:,.0f}/s x (1 + {need.receipts:g} receipts) / ({WEB_PER_SECOND:,.0f}/s x {keep:.2f}), and 1",
        ),
        PlanLine(
            "workers",
            workers,
            "",
            f"{rate:,.0f}/s / (min({need.calls_at_once} calls / {hand_seconds:g} s, {WORKER_PER_SECOND:,.0f}/s)"
            f" x {keep:.2f}), and 1",
        ),
        *cores,
        PlanLine("cores", sum(line.amount for line in cores), "", "all of the above"),
        PlanLine(
            "queue partitions",
            partitions,
            "a lane",
            f"{rate:,.0f}/s x {need.busiest_lane:g} / ({QUEUE_PER_SECOND:,.0f}/s x {keep:.2f})",
        ),
        PlanLine(
            "storage",
            stored / 1e12,
            "TB",
            f"({DOCUMENT_BYTES} + {INDEX_BYTES} + {RECEIPT_BYTES} x {need.receipts:g}) bytes x {rate:,.0f}/s x"
            f" {_DAY_SECONDS:,} s x {need.retention_days:g} days, one copy, before compression",
        ),
        PlanLine("shards", shards, "of three", f"max({by_cores} by {SERVER_CORES} cores, {by_disk} by 4 TB)"),
        PlanLine(
            "connections to MongoDB",
            connections,
            "at most",
            f"{webs} x ({web_connections} + {MONITORING}) + {workers} x ({worker_connections} + {MONITORING})",
        ),
        PlanLine("connections to RabbitMQ", webs + 2 * workers, "", f"{webs} + 2 x {workers}"),
        PlanLine(
            "connections to providers",
            math.ceil(rate * need.latency_seconds),
            "",
            f"{rate:,.0f}/s x {need.latency_seconds:g} s",
        ),
    ]
    return CapacityPlan(tuple(lines), _limits(need, costs, per_worker, document))


def _cores(need: CapacityNeed, costs: MeasuredCosts, webs: int, workers: int) -> list[PlanLine]:
    rate = need.rate_per_second
    speed = costs.seen["steady"]["speed"]
    found = []
    for name in costs.groups:
        # Groups form in each process, and the servers get them as they are.
        milliseconds = costs.at(name, rate / (workers if name == "worker" else webs))
        if name == "web":
            milliseconds *= 1 + need.receipts
        if name == "MongoDB":
            milliseconds *= 1 + need.receipts * (1 - costs.accept_shares[name]) / 2
        copies = COPIES if name in ("MongoDB", "RabbitMQ") else 1
        amount = rate * milliseconds / 1_000 / speed * copies / (1 - need.spare)
        text = f"{rate:,.0f}/s x {milliseconds:.3f} ms / {speed:g} of full speed / {1 - need.spare:.2f}"
        found.append(PlanLine(f"cores for {name}", amount, "", f"{text} x {copies} copies" if copies > 1 else text))
    return found


def _limits(need: CapacityNeed, costs: MeasuredCosts, per_worker: float, document: float) -> tuple[CapacityLimit, ...]:
    keep, speed = 1 - need.spare, costs.seen["steady"]["speed"]
    # Where groups are full.
    mongo = costs.at("MongoDB", WEB_PER_SECOND) * (1 + need.receipts * (1 - costs.accept_shares["MongoDB"]) / 2)
    redis = costs.at("Redis", WEB_PER_SECOND)
    stored_for = document * _DAY_SECONDS * need.retention_days
    found = [
        CapacityLimit(
            "a web process", WEB_PER_SECOND * keep / (1 + need.receipts), "more of them (WAVECOM_WEB_WORKERS, hosts)"
        ),
        CapacityLimit("a worker", per_worker * keep, "more of them (WAVECOM_WORKERS, wavecom autoscale)"),
        CapacityLimit(
            "the queue of a lane",
            QUEUE_PER_SECOND * keep / need.busiest_lane,
            "queue partitions, or lanes on several brokers",
        ),
        CapacityLimit("the disk of a replica set", SERVER_DISK_BYTES / stored_for, "shards, or a shorter retention"),
        CapacityLimit("the cores of a MongoDB primary", SERVER_CORES * 1_000 / mongo * speed * keep, "shards"),
        CapacityLimit("the one thread of Redis", 1_000 / redis * speed * keep, "a Redis for each region"),
    ]
    return tuple(sorted(found, key=lambda limit: limit.rate_per_second))
