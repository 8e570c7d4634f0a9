"""Campaigns of a drill: uploaded while web processes die, sent while ops processes die; and what must be so then."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import requests
from pymongo.database import Database

if TYPE_CHECKING:
    from tests.faults.deployment import Deployment

#: Rows of a drill's campaign, and which of them are wrong: each of so many.
ROWS: Final = 4_000
WRONG_EACH: Final = 100
_PIECE: Final = 100
_TIMEOUT_SECONDS: Final = 30
_PAUSE_SECONDS: Final = 0.5
_GIVE_UP_SECONDS: Final = 240
#: So slow that a campaign is under way at each kill: who takes it up again may catch up on two seconds.
_ROWS_PER_SECOND: Final = 200


@dataclass(frozen=True, slots=True)
class CampaignEvidence:
    """What the store holds of one campaign at the end. ``keys``: idempotency keys of its jobs."""

    status: str
    rows: int
    rejected: int
    queued: int
    keys: Sequence[str]


def rows_of_file() -> list[bytes]:
    """The lines of the file, the one that names the columns first."""
    return [b"phone\n", *(b"wrong\n" if row % WRONG_EACH == 0 else b"+4477%08d\n" % row for row in range(ROWS))]


def campaigns_in(database: Database[dict[str, Any]]) -> list[CampaignEvidence]:
    """All campaigns of a drill."""
    return [
        CampaignEvidence(
            campaign["status"],
            campaign["upload"]["rows"],
            campaign["upload"]["rejected"],
            campaign["run"]["queued"],
            [job["idempotencyKey"] for job in database["jobs"].find({"campaign": campaign["_id"]})],
        )
        for campaign in database["campaigns"].find()
    ]


def campaign_jobs_in(database: Database[dict[str, Any]]) -> Collection[str]:
    """The ids of all jobs of campaigns: no client was told of them one by one."""
    return {job["jobId"] for job in database["jobs"].find({"campaign": {"$exists": True}}, {"jobId": 1})}


def reconcile_campaigns(found: Sequence[CampaignEvidence], wanted: int) -> list[str]:
    """Every broken promise: each row of the file is one job, or was rejected."""
    violations = [] if len(found) == wanted else [f"{len(found)} campaigns are stored, and {wanted} were made"]
    wrong = -(-ROWS // WRONG_EACH)
    for each in found:
        if each.status != "finished":
            violations.append(f"a campaign is {each.status} at the end")
        if (each.rows, each.rejected) != (ROWS, wrong):
            violations.append(f"{each.rows} rows were stored, {each.rejected} rejected; sent were {ROWS} and {wrong}")
        if len(each.keys) != ROWS - wrong or len(set(each.keys)) != len(each.keys):
            violations.append(f"{len(each.keys)} jobs of {len(set(each.keys))} rows; {ROWS - wrong} rows were right")
        if each.queued != ROWS - wrong:
            violations.append(f"{each.queued} rows are counted as sent on; {ROWS - wrong} are")
    return violations


class DrillCampaign:
    """One campaign at the API: made, uploaded and started by a client that goes on whatever breaks off.

    The client is a thread, so that whoever waits for it can start again what has died. Durations are multiplied by
    ``pace``.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        pace: float,
        rows_per_second: int | None = None,
        open_session: Callable[[], requests.Session] = requests.Session,
    ) -> None:
        self._address = f"{url}/api/campaigns"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._pace = pace
        notification = {"type": "sms", "payload": {"text": "Our spring offer begins today."}}
        self._campaign: dict[str, Any] = {"name": "drill", "notification": notification}
        if rows_per_second is not None:
            self._campaign["pace"] = {"rowsPerSecond": rows_per_second}
        self._session = open_session()
        #: The bytes with which requests began.
        self.offsets: list[int] = []
        #: Whether it was uploaded and started.
        self.is_started = False
        #: Why the client gave up.
        self.failure: str | None = None

    def begin(self, seconds: float) -> None:
        """Have the rows uploaded within about ``seconds``, and then sent; returns at once."""
        threading.Thread(target=self._run, args=(seconds,), daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether the client has nothing more to do."""
        return self.is_started or self.failure is not None

    def _run(self, seconds: float) -> None:
        try:
            made = self._until_told("POST", self._address, json=self._campaign, key="drill-campaign")
            address = f"{self._address}/{made['campaignId']}"
            self._upload(f"{address}/rows", seconds)
            self._until_told("POST", f"{address}/start")
            self.is_started = True
        except TimeoutError as error:
            self.failure = str(error)

    def _upload(self, address: str, seconds: float) -> None:
        data = b"".join(rows_of_file())
        pause = seconds * self._pace * _PIECE / ROWS
        ends_at = time.monotonic() + _GIVE_UP_SECONDS
        while not (state := self._until_told("GET", address))["complete"]:
            offset = state["offset"]
            if time.monotonic() > ends_at:
                raise TimeoutError(f"the rows of a campaign were not taken; the upload stands at byte {offset}")
            self.offsets.append(offset)
            headers = {"Content-Type": "text/csv", "Upload-Offset": str(offset), "Upload-Complete": "?1"}
            try:
                answer = self._session.patch(
                    address,
                    data=_slowly(data[offset:], pause),
                    headers=self._headers | headers,
                    timeout=_TIMEOUT_SECONDS,
                )
                is_taken = answer.ok
            except requests.RequestException:
                is_taken = False
            if not is_taken:
                time.sleep(_PAUSE_SECONDS * self._pace)

    def _until_told(self, method: str, address: str, *, key: str | None = None, **options: Any) -> Any:
        headers = self._headers | ({} if key is None else {"Idempotency-Key": key})
        ends_at = time.monotonic() + _GIVE_UP_SECONDS
        said = "nothing"
        while True:
            try:
                answer = self._session.request(method, address, headers=headers, timeout=_TIMEOUT_SECONDS, **options)
                if answer.ok:
                    return answer.json()
                said = str(answer.status_code)
            except requests.RequestException as error:
                said = type(error).__name__
            if time.monotonic() > ends_at:
                raise TimeoutError(f"{method} of a campaign was not answered: {said}")
            time.sleep(_PAUSE_SECONDS * self._pace)


def _slowly(data: bytes, pause: float) -> Iterator[bytes]:
    size = _PIECE * 14
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]
        time.sleep(pause)


def kill_web_while_rows_come(
    deployment: Deployment, open_session: Callable[[], requests.Session] = requests.Session
) -> None:
    """Kill web processes while a campaign is uploaded, each after some of its rows are stored; then it is sent."""
    campaign = DrillCampaign(
        deployment.config.url, deployment.config.api_key, pace=deployment.plan.pace, open_session=open_session
    )
    campaign.begin(12)
    kills = (deployment.kill_web_child, lambda: deployment.kill_program("web"), deployment.kill_web_child)
    # A thousand rows, which are stored at once, come in 3 s.
    _kill_on_the_way(deployment, kills, "upload", "offset", 2)
    _await_end(deployment, campaign)
    if not any(campaign.offsets):
        deployment.notes.broken.append("no upload of a campaign went on behind rows that were stored")


def kill_ops_while_rows_go(deployment: Deployment) -> None:
    """Kill the ops process while a campaign is sent, each time after it has sent some."""
    campaign = DrillCampaign(
        deployment.config.url,
        deployment.config.api_key,
        pace=deployment.plan.pace,
        rows_per_second=_ROWS_PER_SECOND,
    )
    campaign.begin(1)
    _kill_on_the_way(deployment, [lambda: deployment.kill_program("ops")] * 4, "run", "row", 1)
    _await_end(deployment, campaign)


def _kill_on_the_way(
    deployment: Deployment, kills: Sequence[Callable[[], None]], part: str, name: str, longest: float
) -> None:
    """Do one after the other, each within ``longest`` seconds after a number that the campaign keeps has grown."""
    dice = random.Random(f"{deployment.plan.seed}/campaign")
    seen = 0

    def has_moved() -> bool:
        return bool(_stored(deployment).get(part, {}).get(name, 0) > seen)

    for kill in kills:
        if not deployment.wait_until(has_moved, _GIVE_UP_SECONDS, 0.1):
            deployment.notes.broken.append(f"a campaign did not move any more before a kill: {part}.{name} is {seen}")
            return
        deployment.pause(dice.uniform(0, longest))
        seen = _stored(deployment)[part][name]
        kill()


def _await_end(deployment: Deployment, campaign: DrillCampaign) -> None:
    deployment.wait_until(lambda: campaign.is_over, _GIVE_UP_SECONDS)
    if campaign.failure is not None:
        deployment.notes.broken.append(campaign.failure)
    deployment.mark(f"the rows of the campaign were sent from bytes {', '.join(map(str, campaign.offsets))} on")
    deployment.wait_until(lambda: _stored(deployment).get("status") == "finished", _GIVE_UP_SECONDS)


def _stored(deployment: Deployment) -> dict[str, Any]:
    """The campaign as the store has it; nothing while there is none."""
    return deployment.jobs.database["campaigns"].find_one() or {}
