"""A deployment of the user's own, measured from outside: by its API alone, or with a provider of ours behind it too."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from harness.environment import Environment
from harness.figures import ArrivalRecord, Latencies, RequestRecord
from harness.http_client import Address
from harness.load import RequestOutcome
from harness.measure import read_arrivals, read_requests
from harness.subject import LOAD, MAIN, PROVIDER
from wavecom.errors import ConfigurationError, Problem

#: Statuses after which nothing more happens to a notification, and ``sent``: the provider has it.
ENDED = frozenset({"delivered", "failed", "expired", "cancelled", "sent", "unconfirmed"})
#: So many notifications are asked for until they have ended; more would be a load of its own.
MOST_POLLED = 200
#: How long after the last request is waited for the last notification to end, or to arrive.
DRAIN_SECONDS = 60.0
_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 0.25
_PHASE = "target"

OnProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """What is asked of the deployment at ``url``: ``rate`` notifications a second for ``seconds``.

    ``recorder``: host and port at which a provider of ours listens, which the deployment is to call for all channels.
    """

    url: str
    api_key: str
    rate: float
    seconds: float
    keys: float = 0.5
    recorder: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class TargetFigures:
    """What was seen from outside. Latencies in milliseconds."""

    offered: int
    accepted: int
    accepted_per_second: float
    #: Status, or what became of it -> requests.
    answers: Mapping[str, int]
    #: From the moment a request was meant to be sent (corrected for coordinated omission) until its answer.
    accept: Latencies
    #: From acceptance to the end of a notification, by the deployment's own clock, of those that were asked for.
    polled: Latencies
    #: Status -> notifications, of those.
    statuses: Mapping[str, int]
    #: From the answer to the arrival at our provider; None without one.
    end_to_end: Latencies | None = None
    #: Accepted and never received; received more than once. None without a provider of ours.
    lost: int | None = None
    repeated: int | None = None

    @property
    def is_whole(self) -> bool:
        """Everything offered was accepted, everything asked for has ended, and nothing was lost or sent twice."""
        is_ended = all(status in ENDED for status in self.statuses)
        return self.accepted == self.offered and is_ended and not self.lost and not self.repeated

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return asdict(self)


def check(url: str, api_key: str) -> None:
    """Raises ``ConfigurationError`` where nobody answers as WaveCom, or the key may not read."""
    try:
        Address.of(url)
        answer = _get(requests.Session(), url, api_key, "/api/notifications?limit=1")
    except ValueError as error:
        raise ConfigurationError([Problem("--target", str(error))]) from None
    except requests.RequestException as error:
        raise ConfigurationError([Problem("--target", f"{url} can't be reached: {type(error).__name__}")]) from None
    if answer.status_code in (401, 403):
        text = "is not accepted there, or may not read: name a key with the scopes send and read"
        raise ConfigurationError([Problem("WAVECOM_API_KEY", text)])
    if answer.status_code != 200:
        text = f"{url} answers {answer.status_code} to GET /api/notifications: is it WaveCom?"
        raise ConfigurationError([Problem("--target", text)])


def measure(options: TargetOptions, home: Path, progress: OnProgress) -> TargetFigures:
    """Submit, wait until what was accepted has ended, and sum up. Raises ``ConfigurationError``; see ``check``."""
    check(options.url, options.api_key)
    environment = Environment(home, mongo_program=None)
    environment.logs.mkdir(parents=True, exist_ok=True)
    try:
        return _measure(options, environment, progress)
    finally:
        environment.close()


def _measure(options: TargetOptions, environment: Environment, progress: OnProgress) -> TargetFigures:
    load = environment.start_helper(LOAD, "harness.load", [f"--url={options.url}"], WAVECOM_API_KEY=options.api_key)
    recorder = None
    if options.recorder is not None:
        host, port = options.recorder
        recorder = environment.start_helper(
            PROVIDER, "harness.provider", [f"--host={host}", f"--provider={MAIN}={port}"]
        )
    environment.wait_for_helpers()
    load.ask("pace", name=_PHASE, rate=options.rate, seconds=options.seconds, mix={"keys": options.keys})
    while not (told := load.ask("progress", name=_PHASE))["is_over"]:
        progress(f"{told['begun']} submitted, {told['accepted']} accepted")
        time.sleep(_POLL_SECONDS)
    path = environment.home / f"{_PHASE}.requests"
    load.ask("write", name=_PHASE, path=str(path), timeout_seconds=120)
    found = read_requests(path)
    arrivals: dict[str, ArrivalRecord] | None = None
    if recorder is not None:
        accepted = sum(len(request.job_ids) for request in found)
        _wait(lambda: recorder.ask("progress")["received"] >= accepted, progress, "waiting until all has arrived")
        path = environment.home / "arrivals"
        recorder.ask("write", path=str(path), timeout_seconds=120)
        arrivals = read_arrivals(path)
    return figures_of(found, _polled(options, found, progress), arrivals)


def figures_of(
    requests_made: Sequence[RequestRecord],
    jobs: Sequence[Mapping[str, Any]],
    arrivals: Mapping[str, ArrivalRecord] | None,
) -> TargetFigures:
    """Sum up what clients saw, the notifications that were asked for afterwards, and what our provider received."""
    accepted_at = {job_id: each.answered for each in requests_made for job_id in each.job_ids}
    span = max((each.answered for each in requests_made), default=0) - min(
        (each.intended for each in requests_made), default=0
    )
    ended = [job for job in jobs if job["status"] in ENDED]
    recorded: dict[str, Any] = {}
    if arrivals is not None:
        known = {job_id: arrivals[job_id] for job_id in accepted_at if job_id in arrivals}
        recorded = {
            "end_to_end": Latencies.of([max(0.0, each.at - accepted_at[job_id]) for job_id, each in known.items()]),
            "lost": len(accepted_at) - len(known),
            "repeated": sum(each.times > 1 for each in known.values()),
        }
    return TargetFigures(
        offered=len(requests_made),
        accepted=len(accepted_at),
        accepted_per_second=round(len(accepted_at) / span, 1) if span > 0 else 0.0,
        answers=dict(Counter(_name_of(each.status) for each in requests_made)),
        accept=Latencies.of([each.answered - each.intended for each in requests_made if each.job_ids]),
        polled=Latencies.of([_seconds_of(job) for job in ended]),
        statuses=dict(Counter(job["status"] for job in jobs)),
        **recorded,
    )


def _polled(options: TargetOptions, found: Sequence[RequestRecord], progress: OnProgress) -> list[dict[str, Any]]:
    """Notifications from all over the load, each as it was when it had ended, or at the end of our patience."""
    accepted = [job_id for each in found for job_id in each.job_ids]
    chosen = accepted[:: max(1, -(-len(accepted) // MOST_POLLED))]
    jobs: dict[str, dict[str, Any]] = {}
    with requests.Session() as session:

        def have_ended() -> bool:
            for job_id in chosen:
                if jobs.get(job_id, {}).get("status") not in ENDED:
                    answer = _get(session, options.url, options.api_key, f"/api/notifications/{job_id}")
                    jobs[job_id] = answer.json() if answer.status_code == 200 else {"status": f"{answer.status_code}"}
            return all(job["status"] in ENDED for job in jobs.values())

        _wait(have_ended, progress, f"asking for {len(chosen)} of {len(accepted)} until they have ended")
    return list(jobs.values())


def _wait(is_so: Callable[[], bool], progress: OnProgress, what: str) -> None:
    progress(what)
    deadline = time.monotonic() + DRAIN_SECONDS
    while not is_so() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _get(session: requests.Session, url: str, api_key: str, path: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {api_key}"}
    return session.get(f"{url.rstrip('/')}{path}", headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False)


def _name_of(status: int) -> str:
    return RequestOutcome(status).name.lower() if status <= 0 else str(status)


def _seconds_of(job: Mapping[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(job[name]) for name in ("createdAt", "updatedAt"))
    return (ended - began).total_seconds()
