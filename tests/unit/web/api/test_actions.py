"""One notification is cancelled or started again."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.factories import make_claim, make_job_id
from tests.unit.web.api.stored_jobs import store, store_failed
from tests.unit.web.conftest import NOW, WebEnvironment, later
from wavecom.core.states import Status


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.RETRYING])
def test_what_was_not_sent_is_cancelled_for_good_and_told_whole(
    status: Status, environment: WebEnvironment, api: FlaskClient
) -> None:
    job = store(environment, status=status)

    answer = api.post(f"/api/notifications/{job.job_id}/cancel")

    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert answer.json["logs"][-1]["event"] == "cancelled"
    assert answer.json == api.get(f"/api/notifications/{job.job_id}").json
    assert environment.jobs.claim([job.job_id], make_claim(), later(60)) == {}


def test_cancelling_again_gets_the_same_answer(environment: WebEnvironment, api: FlaskClient) -> None:
    path = f"/api/notifications/{store(environment).job_id}/cancel"
    first = api.post(path)

    second = api.post(path)

    assert (second.status_code, second.json) == (200, first.json)
    assert sum(environment.stats.totals(NOW.replace(second=0, microsecond=0), later(60)).values()) == 1


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.SENT, Status.DELIVERED, Status.FAILED, Status.EXPIRED])
def test_what_is_on_its_way_or_done_is_too_late_to_cancel(
    status: Status, environment: WebEnvironment, api: FlaskClient
) -> None:
    job = store(environment, status=status)

    answer = api.post(f"/api/notifications/{job.job_id}/cancel")

    assert (answer.status_code, answer.json["code"]) == (409, "too_late_to_cancel")
    assert status in answer.json["detail"]
    assert answer.json["type"] == "/docs/errors#too_late_to_cancel"
    assert environment.jobs.get(job.job_id) == job


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RETRYING, Status.UNCONFIRMED])
def test_what_may_have_been_sent_is_not_called_cancelled(
    status: Status, environment: WebEnvironment, api: FlaskClient
) -> None:
    job = store(environment, status=status, may_have_been_sent=True)

    answer = api.post(f"/api/notifications/{job.job_id}/cancel")

    assert (answer.status_code, answer.json["code"]) == (409, "may_have_been_sent")
    assert environment.jobs.get(job.job_id) == job


def test_a_failed_one_starts_again_with_all_its_attempts(environment: WebEnvironment, api: FlaskClient) -> None:
    job = store_failed(environment, attempts=5)

    answer = api.post(f"/api/notifications/{job.job_id}/retry")

    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    assert (answer.json["attempts"], answer.json["replays"], answer.json["error"]) == (0, 1, None)
    assert answer.json["logs"][-1]["event"] == "replayed"
    assert [delivery_message.job_id for delivery_message in environment.publisher.delivery_messages] == [job.job_id]


@pytest.mark.parametrize("status", [status for status in Status if status not in {Status.FAILED, Status.UNCONFIRMED}])
def test_only_a_failed_one_can_be_started_again(status: Status, environment: WebEnvironment, api: FlaskClient) -> None:
    job = store(environment, status=status)

    answer = api.post(f"/api/notifications/{job.job_id}/retry")

    assert (answer.status_code, answer.json["code"]) == (409, "not_failed")
    assert environment.jobs.get(job.job_id) == job


@pytest.mark.parametrize("action", ["cancel", "retry"])
@pytest.mark.parametrize("job_id", [make_job_id(), "nonsense"])
def test_an_unknown_id_is_not_found(action: str, job_id: str, api: FlaskClient) -> None:
    answer = api.post(f"/api/notifications/{job_id}/{action}")

    assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")


@pytest.mark.parametrize(("action", "status"), [("cancel", Status.QUEUED), ("retry", Status.FAILED)])
def test_another_clients_job_is_answered_like_none_and_left_alone(
    action: str, status: Status, environment: WebEnvironment, api: FlaskClient
) -> None:
    foreign = store(environment, status=status, client="somebody else")

    answer = api.post(f"/api/notifications/{foreign.job_id}/{action}")

    assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")
    assert environment.jobs.get(foreign.job_id) == foreign
