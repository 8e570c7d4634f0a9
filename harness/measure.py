"""Runs phases of load on a deployment and measures them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.deployment import Deployment
from harness.figures import ArrivalRecord, Figures, LoadInterval, RequestRecord, figures_of, spent_between
from harness.load import RequestOutcome
from harness.processes import Sample
from harness.recorded import recorded_after
from harness.speed import SpeedProbe

_POLL_SECONDS = 0.5
#: Nothing received for so long although something is missing: it will not come.
STILL_SECONDS = 45.0
#: What is being done; begun, accepted and received until now.
Watch = Callable[[str, int, int, int], None]


class Meter:
    """Runs phases of load on ``deployment`` and measures them, with an eye on ``probe``.

    ``watch`` is told how far it is, twice a second.
    """

    def __init__(self, deployment: Deployment, watch: Watch, probe: SpeedProbe) -> None:
        self._deployment = deployment
        self._watch = watch
        self._probe = probe
        self._label = "load"
        self._phases: list[str] = []
        #: Phase -> notifications in each of its requests.
        self._batches: dict[str, int] = {}
        self._began: dict[str, tuple[float, Sample]] = {}
        #: Of phases whose account has been closed.
        self._ended: dict[str, tuple[float, Sample]] = {}
        #: Notifications accepted in phases that are over, and what their clients saw, once it has been asked for.
        self._accepted: dict[str, int] = {}
        self._requests: dict[str, list[RequestRecord]] = {}
        # The deployment may have served another meter before.
        self._since = time.monotonic()
        self._received_before: int = deployment.provider.ask("progress")["received"]

    def paced(self, rate: float, seconds: float, *, name: str, **mix: object) -> str:
        """Begin open-loop load; the name by which the other methods know it."""
        return self._start("pace", name, mix, rate=rate, seconds=seconds)

    def flood(self, notifications: int, *, name: str, connections: int = 256, **mix: object) -> str:
        """Begin closed-loop load of so many notifications; the name by which the other methods know it."""
        batch = int(str(mix.get("batch", 1)))
        return self._start("flood", name, mix, count=-(-notifications // batch), connections=connections)

    def _start(self, command: str, name: str, mix: Mapping[str, object], **how: float) -> str:
        name = f"{name}-{len(self._phases)}"
        self._batches[name] = int(str(mix.get("batch", 1)))
        self._phases.append(name)
        self._began[name] = (time.monotonic(), self._deployment.sample())
        self._deployment.load.ask(command, name=name, mix=mix, **how)
        return name

    def label(self, text: str) -> None:
        """What is shown from now on as being done."""
        self._label = text

    def wait_answered(self, name: str) -> None:
        """Until every request of the phase has ended."""
        while not self.is_answered(name):
            time.sleep(_POLL_SECONDS)

    def wait(self, name: str, seconds: float) -> None:
        """So long, with the phase going on."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._progress(name)
            time.sleep(min(_POLL_SECONDS, left))

    def is_answered(self, name: str) -> bool:
        """Whether every request of the phase has ended. Raises ``DeploymentError`` when a process has died."""
        progress = self._progress(name)
        if progress["is_over"] and name not in self._accepted:
            self._accepted[name] = progress["accepted"]
            # Idle connections of phases gone by would only be ballast to the web app.
            self._deployment.load.ask("close", name=name)
        return bool(progress["is_over"])

    def accepted(self, name: str) -> int:
        """Notifications of the phase accepted until now."""
        return self._progress(name)["accepted"]

    def backlog(self) -> int:
        """Accepted, in all phases, and not received yet."""
        accepted = sum(
            self._accepted[name] if name in self._accepted else self._progress(name)["accepted"]
            for name in self._phases
        )
        return max(0, accepted - self._received())

    def _received(self) -> int:
        received: int = self._deployment.provider.ask("progress")["received"]
        return received - self._received_before

    def wait_drained(self, still_seconds: float = STILL_SECONDS) -> bool:
        """Whether the provider has received all that was accepted; False when nothing came for ``still_seconds``."""
        for name in self._phases:
            if name not in self._accepted:
                self.wait_answered(name)
        before, since = -1, time.monotonic()
        while (left := self.backlog()) > 0:
            self._progress(self._phases[-1])
            if left != before:
                before, since = left, time.monotonic()
            elif time.monotonic() - since > still_seconds:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _progress(self, name: str) -> dict[str, int]:
        self._deployment.check()
        load = self._deployment.load.ask("progress", name=name)
        self._watch(self._label, load["begun"], load["accepted"], self._received())
        return dict(load)

    def caught_up(self, name: str, moment: float) -> float:
        """Seconds after ``moment`` (monotonic) at which all that was accepted before had arrived; 0: it had by then."""
        arrivals = self.arrivals()
        accepted = (job_id for each in self.requests(name) if each.answered < moment for job_id in each.job_ids)
        latest = max((arrivals[job_id].at for job_id in accepted if job_id in arrivals), default=moment)
        return max(0.0, latest - moment)

    def close(self, name: str) -> None:
        """The phase is over and drained; what the deployment uses from now on is not its own."""
        self._ended[name] = (time.monotonic(), self._deployment.sample())

    def measure(self, name: str, *more: str) -> Figures:
        """Measure a phase that is over, and drained if its end-to-end figures are to be whole.

        ``more``: later phases of the same kind, measured together with it; all of them closed.
        """
        now = time.monotonic(), self._deployment.sample()
        stretches = []
        arrivals = self.arrivals()
        requests = {each: self.requests(each) for each in self._phases}
        for each in (name, *more):
            (began_at, before), (ended_at, after) = self._began[each], self._ended.get(each, now)
            stretches.append(LoadInterval(requests[each], (began_at, ended_at), (before, after)))
        known = {job_id for each in requests.values() for request in each for job_id in request.job_ids}
        unknown = sum(job_id not in known for job_id in arrivals)
        unanswered = sum(
            request.status in (RequestOutcome.TIMED_OUT, RequestOutcome.BROKEN) or request.status >= 500
            for each in requests.values()
            for request in each
        )
        batch = self._batches[name]
        began_at = min(stretch.span[0] for stretch in stretches)
        return figures_of(
            stretches,
            arrivals,
            recorded_after(self._deployment.config.mongodb_uri, seconds_ago=time.monotonic() - began_at),
            batch=batch,
            unexpected=max(0, unknown - unanswered * batch),
            pace=self._probe.during([stretch.span for stretch in stretches]),
        )

    def cost_so_far(self, name: str) -> float:
        """Milliseconds of processor time per notification accepted in the phase until now, all groups together."""
        before, now = self._began[name][1], self._deployment.sample()
        used = sum(spent_between(before, now).values())
        accepted = self.accepted(name)
        return round(1000 * used / max(1, accepted), 3)

    def requests(self, name: str) -> list[RequestRecord]:
        """All of the phase, as its clients saw them."""
        if name in self._requests:
            return self._requests[name]
        path = self._deployment.config.home / f"{name}.requests"
        self._deployment.load.ask("write", name=name, path=str(path), timeout_seconds=120)
        found = read_requests(path)
        if name in self._accepted:
            self._requests[name] = found
        return found

    def arrivals(self) -> dict[str, ArrivalRecord]:
        """All that the provider has received since this meter was made."""
        path = self._deployment.config.home / "arrivals"
        self._deployment.provider.ask("write", path=str(path), timeout_seconds=120)
        return {key: arrival for key, arrival in read_arrivals(path).items() if arrival.at >= self._since}


def read_requests(path: Path) -> list[RequestRecord]:
    """What ``Load.write`` wrote."""
    found = []
    with path.open(encoding="ascii") as file:
        for line in file:
            intended, sent, answered, status, retry_after, job_ids = line.rstrip("\n").split(" ")
            ids = tuple(job_ids.split(",")) if job_ids else ()
            moments = float(intended), float(sent), float(answered)
            found.append(RequestRecord(*moments, int(status), ids, has_retry_after=retry_after == "1"))
    return found


def read_arrivals(path: Path) -> dict[str, ArrivalRecord]:
    """What ``Providers.write`` wrote."""
    found = {}
    with path.open(encoding="ascii") as file:
        for line in file:
            key, at, times, provider = line.split()
            found[key] = ArrivalRecord(float(at), int(times), provider)
    return found
