"""Guarded transitions as update operations.

On every server an operation costs more than what it changes. So transitions that ask for the same thing and change
the same fields are written by one ``UpdateMany``, whose pipeline finds each job's own values in lists: a batch of 50
then takes a fifth of what 50 ``UpdateOne`` take. The guard is in the filter either way, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pymongo import UpdateMany, UpdateOne

from wavecom.core.engine import ANY_TOKEN, Guard, Transition
from wavecom.core.job import LOG_LIMIT, Claim, JobId
from wavecom.core.states import Status
from wavecom.storage.mongo.documents import Document, Patch, fence, to_patch
from wavecom.storage.mongo.sharded_jobs import ShardedJobs

#: How many of the last writes to a job are remembered in it, so that a repeated one is recognised.
_WRITES_KEPT = 8

#: The pipeline looks up a job's values by walking lists; longer ones are cut.
_GROUP_LIMIT = 100


def claiming(changes: Mapping[str, Any]) -> list[Document]:
    """``claimed_changes`` as an update of many jobs: each gets a fence and a ``due_at`` of its own."""
    claim: Claim = changes["claim"]
    # As literals: a worker's name or a token may begin with a dollar, which would make it an expression.
    hold = {
        "token": {"$literal": claim.token},
        "worker": {"$literal": claim.worker},
        "leaseUntil": claim.lease_until,
        "fence": {"$concat": [{"$literal": fence(claim.token, JobId(""))}, "$jobId"]},
    }
    return [
        {
            "$set": {
                "status": changes["status"].value,
                "claim": hold,
                "updatedAt": changes["updated_at"],
                "dueAt": {"$min": [claim.lease_until, "$expiresAt"]},
            }
        },
        {"$unset": "parkedUntil"},
    ]


def releasing(next_attempt_at: datetime, now: datetime) -> list[Document]:
    """An update that parks claimed jobs which nobody has tried: as after ``AttemptPrevented``, of a job unseen."""
    due_at = {"$min": [next_attempt_at, "$expiresAt"]}
    parked = {"nextAttemptAt": next_attempt_at, "updatedAt": now, "dueAt": due_at, "parkedUntil": due_at}
    return [{"$set": {"status": Status.RETRYING.value} | parked}, {"$unset": ["claim", "queuedAt"]}]


class PendingWrite(NamedTuple):
    """A transition on its way into the store, under the id that it leaves in the document."""

    transition: Transition
    id: int


def operations(writes: Sequence[PendingWrite], sharded: ShardedJobs) -> Iterator[UpdateOne | UpdateMany]:
    """Updates that write each transition whose guard holds and which is not written yet.

    Each job occurs once. The matched counts add up to the number of transitions exactly when all were written.
    """
    groups: dict[object, list[tuple[PendingWrite, Patch]]] = {}
    for write in writes:
        patch = to_patch(write.transition)
        groups.setdefault(_shape(write.transition.guard, patch), []).append((write, patch))
    for group in groups.values():
        for start in range(0, len(group), _GROUP_LIMIT):
            part = group[start : start + _GROUP_LIMIT]
            yield _one(*part[0], sharded) if len(part) == 1 else _many(part, sharded)


def _shape(guard: Guard, patch: Patch) -> object:
    """What transitions must have in common to be written by one operation."""
    has_token = guard.token not in {ANY_TOKEN, None}
    token = "one of its own" if has_token else guard.token
    entries = tuple(tuple(entry) for entry in patch.logs)
    event = None if patch.event is None else tuple(patch.event)
    return guard.statuses, token, guard.due_at, guard.log_count, tuple(patch.values), patch.removed, entries, event


def _guarded(
    guard: Guard, sharded: ShardedJobs, job_ids: Sequence[JobId], fences: Sequence[str], write_ids: Sequence[int]
) -> Document:
    """``Guard.holds`` as a filter, with what tells that a transition is not written yet. The unique key comes first."""
    status = {"status": _among(sorted(guard.statuses))}
    if guard.token is None:
        where = sharded.by_ids(job_ids) | status | {"claim.token": None}
    elif guard.token == ANY_TOKEN:
        where = sharded.by_ids(job_ids) | status
    else:
        # The fence has the job's id in it.
        where = sharded.near_ids(job_ids) | status | {"claim.fence": _among(fences)}
    if guard.due_at is not None:
        where["dueAt"] = guard.due_at
    if guard.log_count is not None:
        where["logCount"] = guard.log_count
    where["writes"] = {"$nin": list(write_ids)}
    return where


def _among(values: Sequence[str]) -> str | Document:
    return str(values[0]) if len(values) == 1 else {"$in": list(values)}


def _one(write: PendingWrite, patch: Patch, sharded: ShardedJobs) -> UpdateOne:
    transition = write.transition
    update: Document = {
        "$set": patch.values,
        "$unset": dict.fromkeys(patch.removed, ""),
        "$push": {"writes": {"$each": [write.id], "$slice": -_WRITES_KEPT}},
    }
    if patch.logs:
        update["$push"]["logs"] = {"$each": patch.logs, "$slice": -LOG_LIMIT}
        update["$inc"] = {"logCount": len(patch.logs)}
    if patch.event is not None:
        update["$push"]["events"] = patch.event
        update.setdefault("$inc", {})["eventVersion"] = 1
    where = _guarded(transition.guard, sharded, [transition.job_id], [_fence(transition)], [write.id])
    return UpdateOne(where, update)


def _many(group: Sequence[tuple[PendingWrite, Patch]], sharded: ShardedJobs) -> UpdateMany:
    transitions = [write.transition for write, _ in group]
    job_ids = [transition.job_id for transition in transitions]
    where = _guarded(
        transitions[0].guard,
        sharded,
        job_ids,
        [_fence(transition) for transition in transitions],
        [write.id for write, _ in group],
    )
    patches = [patch for _, patch in group]
    first = patches[0]
    changed: Document = {name: _each([patch.values[name] for patch in patches]) for name in first.values}
    changed["writes"] = _appended("$writes", [_each([write.id for write, _ in group])], _WRITES_KEPT)
    if first.logs:
        entries = [
            {name: _each([patch.logs[place][name] for patch in patches]) for name in entry}
            for place, entry in enumerate(first.logs)
        ]
        changed["logs"] = _appended("$logs", entries, LOG_LIMIT)
        changed["logCount"] = {"$add": ["$logCount", len(entries)]}
    if first.event is not None:
        event = {name: _each([(patch.event or {})[name] for patch in patches]) for name in first.event}
        changed["events"] = {"$concatArrays": [{"$ifNull": ["$events", []]}, [event]]}
        changed["eventVersion"] = {"$add": ["$eventVersion", 1]}
    pipeline: list[Document] = [
        {"$set": {"_place": {"$indexOfArray": [{"$literal": job_ids}, "$jobId"]}}},
        {"$set": changed},
        {"$unset": ["_place", *first.removed]},
    ]
    return UpdateMany(where, pipeline)


def _each(values: Sequence[Any]) -> Document:
    """An expression for the value at a job's own place in the list; for what all have in common, that.

    A list for each field, and not one list of all that a job has of its own: the servers copy the whole list for every
    job, and a list of texts is copied in a tenth of the time. As literals, because a text that begins with a dollar
    must not be taken for an expression.
    """
    if all(value == values[0] for value in values):
        return {"$literal": values[0]}
    return {"$arrayElemAt": [{"$literal": list(values)}, "$_place"]}


def _appended(array: str, items: Sequence[Document], kept: int) -> Document:
    return {"$slice": [{"$concatArrays": [{"$ifNull": [array, []]}, list(items)]}, -kept]}


def _fence(transition: Transition) -> str:
    return fence(str(transition.guard.token), transition.job_id)
