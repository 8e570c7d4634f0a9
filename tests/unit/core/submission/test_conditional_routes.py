from __future__ import annotations

import pytest

from tests.unit.core.submission.environment import SubmissionEnvironment, new
from wavecom.core.job import Job
from wavecom.core.lanes import Channel
from wavecom.core.route_conditions import Conditions
from wavecom.core.routes import ChannelRoutes, Route
from wavecom.core.submission import Accepted
from wavecom.errors import ChannelNotServedError

GERMANY = Route(Route.of("a").steps, "germany", Conditions(countries=frozenset({"DE"})))
ROUTES = {Channel.SMS: ChannelRoutes((GERMANY,))}
GERMAN, BRITISH = {"phone": "+4915112345678"}, {"phone": "+447700900123"}


def test_a_notification_that_no_route_is_for_is_refused_before_anything_is_stored() -> None:
    environment = SubmissionEnvironment(routes=ROUTES)

    with pytest.raises(ChannelNotServedError) as caught:
        environment.submission.accept(new(to=BRITISH))

    [problem] = caught.value.problems
    assert (problem.where, problem.code) == ("/type", "not_served")
    assert "no route here is for this recipient, client and metadata" in problem.message
    # What the file's conditions are is nobody's business outside.
    assert "DE" not in problem.message
    assert "germany" not in problem.message
    assert environment.publisher.delivery_messages == []


def test_one_that_a_route_is_for_is_accepted() -> None:
    accepted = SubmissionEnvironment(routes=ROUTES).submission.accept(new(to=GERMAN))

    assert accepted.job.to == GERMAN


def test_of_many_those_without_a_route_are_refused_alone() -> None:
    environment = SubmissionEnvironment(routes=ROUTES)

    first, second = environment.submission.accept_many([new(to=GERMAN), new(to=BRITISH)])

    assert isinstance(first, Accepted)
    assert isinstance(first.job, Job)
    assert isinstance(second, ChannelNotServedError)


def test_a_test_accounts_notification_needs_no_route() -> None:
    accepted = SubmissionEnvironment(routes=ROUTES).submission.accept(new(to=BRITISH, client="bank:test"))

    assert accepted.job.client == "bank:test"
