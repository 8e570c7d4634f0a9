"""What is right is loaded past marshmallow: with the same outcome."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError, post_load

from tests.corpus.bodies import bad_notifications, good_notifications
from tests.unit.web.conftest import NOW
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.schemas.notification import NotificationSchema

SCHEMA = NotificationSchema(lambda: NOW)
GOOD = good_notifications()
BAD = [entry for entry in bad_notifications() if isinstance(entry.get("body"), dict) and "headers" not in entry]


def _schema_of(body: Any) -> BaseSchema:
    return SCHEMA.by_type[body["type"]]


@pytest.mark.parametrize("entry", GOOD, ids=[entry["name"] for entry in GOOD])
def test_a_good_body_comes_out_as_marshmallow_loads_it(entry: dict[str, Any]) -> None:
    schema = _schema_of(entry["body"])

    assert schema.load_good(entry["body"]) == Schema.load(schema, entry["body"])


@pytest.mark.parametrize("entry", BAD, ids=[entry["name"] for entry in BAD])
def test_a_bad_body_never_takes_the_short_cut(entry: dict[str, Any]) -> None:
    schema = SCHEMA.by_type.get(str(entry["body"].get("type")), SCHEMA)

    with pytest.raises(ValidationError):
        schema.load_good(entry["body"])


@given(
    st.sampled_from(GOOD),
    st.dictionaries(
        st.sampled_from(["to", "payload", "metadata", "priority", "sendAt", "expiresAt", "ttlSeconds", "other"]),
        st.none() | st.integers() | st.text(max_size=5) | st.dictionaries(st.text(max_size=3), st.integers()),
        min_size=1,
        max_size=2,
    ),
)
def test_whatever_is_changed_both_ways_agree(entry: dict[str, Any], changes: dict[str, Any]) -> None:
    body = entry["body"] | changes
    schema = _schema_of(body)

    try:
        expected: Any = Schema.load(schema, body)
    except ValidationError as error:
        expected = error.messages
        with pytest.raises(ValidationError):
            schema.load_good(body)
    try:
        found: Any = schema.load(body)
    except ValidationError as error:
        found = error.messages

    assert found == expected


def test_a_schema_with_hooks_that_the_short_cut_would_pass_by_cannot_be_built() -> None:
    class Hooked(BaseSchema):
        @post_load
        def change(self, data: Any, **_: Any) -> Any:
            return data

    with pytest.raises(TypeError, match="Hooked"):
        Hooked()
