"""With the fast paths switched off, the documented ways are taken, with the same outcome."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError, fields

from wavecom.internals import fast_paths
from wavecom.web.api.schemas.base import BaseSchema


class Counting(BaseSchema):
    count = fields.Integer(required=True, strict=True)

    def __init__(self) -> None:
        super().__init__()
        self.short_cuts = 0

    def load_good(self, data: Any) -> dict[str, Any]:
        self.short_cuts += 1
        return super().load_good(data)


@pytest.mark.parametrize(("is_on", "short_cuts"), [(True, 1), (False, 0)])
def test_a_body_is_loaded_past_marshmallow_only_where_that_is_allowed(is_on: bool, short_cuts: int) -> None:
    schema = Counting()

    fast_paths.switch(is_on=is_on)

    assert schema.load({"count": 7}) == {"count": 7}
    assert schema.short_cuts == short_cuts


def test_what_is_wrong_is_told_the_same_without_the_short_cut() -> None:
    fast_paths.switch(is_on=False)

    with pytest.raises(ValidationError, match="Not a valid integer"):
        Counting().load({"count": "7.5"})
