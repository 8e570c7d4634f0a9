"""Campaigns of a drill: uploaded while web processes die, sent while ops processes die; and what must be so then."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
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
_GIVE_UP_SECONDS: Final = 240


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
    """One campaign at the API, by a client that goes on whatever breaks off."""

    def __init__(self, url: str, key: str) -> None:
        self._headers = {"Authorization": f"Bearer {key}"}
        notification = {"type": "sms", "payload": {"text": "Our spring offer begins today."}}
        made = self._until_told("POST", f"{url}/api/campaigns", json={"name": "drill", "notification": notification})
        self._address = f"{url}/api/campaigns/{made['campaignId']}"

    @contextmanager
    def uploading(self, seconds: float) -> Iterator[None]:
        """Upload the rows within about ``seconds`` while the body runs, and until all are here."""
        thread = threading.Thread(target=self._upload, args=(seconds,), daemon=True)
        thread.start()
        yield
        thread.join(_GIVE_UP_SECONDS)

    def start(self) -> None:
        """Have the rows sent."""
        self._until_told("POST", f"{self._address}/start")

    @property
    def is_finished(self) -> bool:
        """Whether every row has been dealt with; False too while nobody answers."""
        try:
            answer = requests.get(self._address, headers=self._headers, timeout=_TIMEOUT_SECONDS)
            return bool(answer.ok and answer.json()["status"] == "finished")
        except requests.RequestException:
            return False

    def _upload(self, seconds: float) -> None:
        data = b"".join(rows_of_file())
        pause = seconds * _PIECE / ROWS
        state = {"complete": False}
        while not state["complete"]:
            state = self._until_told("GET", f"{self._address}/rows")
            if state["complete"]:
                return
            headers = {"Content-Type": "text/csv", "Upload-Offset": str(state["offset"]), "Upload-Complete": "?1"}
            try:
                requests.patch(
                    f"{self._address}/rows",
                    data=_slowly(data[state["offset"] :], pause),
                    headers=self._headers | headers,
                    timeout=_TIMEOUT_SECONDS,
                )
            except requests.RequestException:
                time.sleep(0.5)

    def _until_told(self, method: str, address: str, **options: Any) -> Any:
        ends_at = time.monotonic() + _GIVE_UP_SECONDS
        while True:
            try:
                answer = requests.request(method, address, headers=self._headers, timeout=_TIMEOUT_SECONDS, **options)
                if answer.ok:
                    return answer.json()
            except requests.RequestException:
                pass
            if time.monotonic() > ends_at:
                raise TimeoutError(f"{method} of a campaign was not answered")
            time.sleep(0.5)


def _slowly(data: bytes, pause: float) -> Iterator[bytes]:
    size = _PIECE * 13
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]
        time.sleep(pause)


def kill_web_while_rows_come(deployment: Deployment) -> None:
    """Kill web processes while a campaign is uploaded, then send it."""
    campaign = DrillCampaign(deployment.config.url, deployment.config.api_key)
    with campaign.uploading(12):
        for kill in (deployment.kill_web_child, lambda: deployment.kill_program("web"), deployment.kill_web_child):
            deployment.pause(3)
            kill()
    campaign.start()
    deployment.wait_until(lambda: campaign.is_finished, 180)


def kill_ops_while_rows_go(deployment: Deployment) -> None:
    """Kill the ops process while a campaign is sent."""
    campaign = DrillCampaign(deployment.config.url, deployment.config.api_key)
    with campaign.uploading(1):
        pass
    campaign.start()
    dice = random.Random(f"{deployment.plan.seed}/campaign-ops-killed")
    for _ in range(4):
        deployment.pause(dice.uniform(0.5, 4))
        deployment.kill_program("ops")
    deployment.wait_until(lambda: campaign.is_finished, 240)
