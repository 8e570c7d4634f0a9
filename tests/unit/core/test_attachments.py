from __future__ import annotations

from base64 import b64encode
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.factories import NOW
from wavecom.core.attachments import LIMIT_CHARACTERS, detach, keep_until, names_in, reattach
from wavecom.core.engine import Policy


def attachment(size: int, letter: bytes = b"a") -> dict[str, Any]:
    return {"filename": "a.pdf", "contentType": "application/pdf", "content": b64encode(letter * size).decode()}


def payload(*attachments: dict[str, Any]) -> dict[str, Any]:
    return {"subject": "Invoice", "text": "Attached.", "attachments": list(attachments)}


def test_only_large_attachments_are_set_apart_and_leave_name_type_and_size() -> None:
    small, large = attachment(100), attachment(100_000)

    stored, blobs = detach(payload(small, large))

    [name] = blobs
    assert blobs[name] == b"a" * 100_000
    assert stored["attachments"] == [
        small,
        {"filename": "a.pdf", "contentType": "application/pdf", "blob": name, "size": 100_000},
    ]
    assert names_in(stored) == {name}


def test_a_payload_without_large_ones_is_left_as_it_is() -> None:
    for body in (payload(attachment(10)), payload(), {"subject": "x", "text": "y"}):
        stored, blobs = detach(body)

        assert stored is body
        assert blobs == {}
        assert names_in(stored) == set()


def test_equal_files_are_kept_once() -> None:
    _, blobs = detach(payload(attachment(100_000), attachment(100_000), attachment(100_000, b"b")))

    assert len(blobs) == 2


@given(st.lists(st.integers(LIMIT_CHARACTERS * 3 // 4 - 3, LIMIT_CHARACTERS * 3 // 4 + 3), max_size=4))
def test_what_is_put_back_is_what_was_sent(sizes: list[int]) -> None:
    body = payload(*(attachment(size) for size in sizes))

    stored, blobs = detach(body)

    assert reattach(stored, blobs.__getitem__) == body


def test_files_outlive_every_job_that_is_not_replayed() -> None:
    policy = Policy()

    assert keep_until(NOW, policy) > NOW + policy.receipt_deadline + policy.retention
