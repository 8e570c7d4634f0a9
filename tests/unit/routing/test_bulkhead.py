from __future__ import annotations

from wavecom.routing.bulkhead import Bulkhead


def test_one_of_several_providers_gets_at_most_half_of_the_threads() -> None:
    bulkhead = Bulkhead({"slow": None, "fast": None}, threads=8)

    entered = [bulkhead.enter("slow") for _ in range(6)]

    assert entered == [True] * 4 + [False] * 2
    assert not bulkhead.enter("slow")
    assert bulkhead.enter("fast")


def test_the_only_provider_may_have_all_threads() -> None:
    bulkhead = Bulkhead({"only": None}, threads=3)

    entered = [bulkhead.enter("only") for _ in range(4)]

    assert entered == [True, True, True, False]


def test_one_thread_can_call_any_provider() -> None:
    bulkhead = Bulkhead({"a": None, "b": None}, threads=1)

    entered = bulkhead.enter("a")

    assert entered


def test_a_limit_of_its_own_holds_below_the_share() -> None:
    bulkhead = Bulkhead({"narrow": 2, "wide": 100}, threads=8)

    narrow = [bulkhead.enter("narrow") for _ in range(3)]
    wide = [bulkhead.enter("wide") for _ in range(5)]

    assert narrow == [True, True, False]
    assert wide == [True] * 4 + [False]


def test_a_place_given_back_can_be_taken_again() -> None:
    bulkhead = Bulkhead({"only": 1}, threads=4)
    bulkhead.enter("only")

    bulkhead.leave("only")

    assert bulkhead.in_flight("only") == 0
    assert bulkhead.enter("only")


def test_all_that_may_take_minutes_leave_half_of_the_threads_to_others() -> None:
    bulkhead = Bulkhead({"mail": None, "post": None, "sms": None}, threads=8, patient=["mail", "post"])

    mail = [bulkhead.enter("mail") for _ in range(3)]
    post = [bulkhead.enter("post") for _ in range(3)]

    assert mail == [True] * 3
    assert post == [True, False, False]
    assert not bulkhead.enter("mail")
    assert [bulkhead.enter("sms") for _ in range(5)] == [True] * 4 + [False]
    bulkhead.leave("mail")
    assert bulkhead.enter("post")


def test_where_all_may_take_minutes_they_share_all_threads() -> None:
    bulkhead = Bulkhead({"mail": None, "post": None}, threads=8, patient=["mail", "post"])

    assert [bulkhead.enter("mail") for _ in range(5)] == [True] * 4 + [False]
    assert [bulkhead.enter("post") for _ in range(5)] == [True] * 4 + [False]
