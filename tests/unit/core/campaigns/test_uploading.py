"""Uploads of rows: what is checked, stored and counted, and how one goes on that broke off."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from tests.campaign_environment import ADA, CampaignEnvironment, check, csv_of, phones
from wavecom.core.campaigns.decoding import gunzipped
from wavecom.core.campaigns.model import CampaignStatus, RowFormat
from wavecom.core.campaigns.uploading import CHUNK_ROWS
from wavecom.core.templates.variables import Variable, VariableType
from wavecom.errors import CampaignStatusError, InvalidRequestError, Problem, UploadOffsetError


@pytest.fixture
def environment() -> CampaignEnvironment:
    return CampaignEnvironment()


def test_rows_are_counted_and_what_is_wrong_is_kept_with_row_line_and_column(environment: CampaignEnvironment) -> None:
    campaign = environment.create(columns={"Mobile": "to.phone"})

    upload = environment.upload(campaign, b"Mobile,Note\n+1,\n12,x\n+3,\n")

    assert (upload.rows, upload.rejected, upload.is_complete) == (3, 1, True)
    assert environment.now(campaign).status is CampaignStatus.READY
    [row] = environment.store.rejected(campaign.campaign_id).rows
    assert (row.row, row.line) == (2, 3)
    assert row.problems == (("Mobile", "invalid", "must begin with +"),)


def test_an_upload_that_broke_off_goes_on_at_its_offset_and_loses_and_repeats_nothing(
    environment: CampaignEnvironment,
) -> None:
    campaign = environment.create()
    data = csv_of(*phones(2 * CHUNK_ROWS + 5))

    def breaking() -> Iterator[bytes]:
        yield data[: len(data) - 30]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        environment.uploads.receive(environment.now(campaign), 0, breaking(), RowFormat.CSV, check, is_last=True)
    offset = environment.now(campaign).upload.offset
    assert environment.now(campaign).upload.rows == 2 * CHUNK_ROWS

    environment.upload(campaign, data[offset:], offset=offset)

    assert environment.now(campaign).upload.rows == 2 * CHUNK_ROWS + 5
    environment.administration.start(ADA, campaign.campaign_id, "acme")
    environment.run_to_end(campaign)
    assert sorted(job.to["phone"] for job in environment.all_jobs()) == phones(2 * CHUNK_ROWS + 5)


def test_a_part_that_is_not_the_last_keeps_the_beginning_of_a_row_for_the_next(
    environment: CampaignEnvironment,
) -> None:
    campaign = environment.create()

    upload = environment.upload(campaign, b"phone\n+1\n+2", is_last=False)

    assert (upload.offset, upload.rows) == (len(b"phone\n+1\n"), 1)
    assert environment.upload(campaign, b"+22\n", offset=upload.offset).rows == 2


def test_rows_for_another_place_are_refused_with_the_place_that_is_next(environment: CampaignEnvironment) -> None:
    campaign = environment.create()
    environment.upload(campaign, csv_of("+1"), is_last=False)

    with pytest.raises(UploadOffsetError) as error:
        environment.upload(campaign, csv_of("+1"))

    assert error.value.offset == len(csv_of("+1"))


def test_of_two_who_upload_the_same_one_counts_and_the_other_is_told_where_to_go_on(
    environment: CampaignEnvironment,
) -> None:
    campaign = environment.create()
    stale = environment.now(campaign)
    environment.upload(campaign, csv_of("+1", "+2"), is_last=False)

    with pytest.raises(UploadOffsetError) as error:
        environment.uploads.receive(stale, 0, iter([csv_of("+1")]), RowFormat.CSV, check, is_last=False)

    assert error.value.offset == len(csv_of("+1", "+2"))
    assert environment.now(campaign).upload.rows == 2


def test_a_complete_upload_takes_no_more(environment: CampaignEnvironment) -> None:
    campaign = environment.create()
    environment.upload(campaign, csv_of("+1"))

    with pytest.raises(CampaignStatusError):
        environment.upload(campaign, csv_of("+1"), offset=len(csv_of("+1")))


def test_columns_that_are_mapped_must_be_there(environment: CampaignEnvironment) -> None:
    campaign = environment.create(columns={"Mobile": "to.phone", "Sprache": "locale"})

    with pytest.raises(InvalidRequestError) as error:
        environment.upload(campaign, b"Mobile\n+1\n")

    assert [problem.where for problem in error.value.problems] == ["/columns/Sprache"]


def test_columns_go_by_their_names_and_texts_become_what_the_template_wants() -> None:
    types = {"points": VariableType.NUMBER, "due": VariableType.MONEY, "name": VariableType.TEXT}
    environment = CampaignEnvironment(variables={name: Variable(type_) for name, type_ in types.items()})
    bodies = []
    campaign = environment.create(notification={"type": "sms", "template": "due", "variables": {"name": "you"}})

    def note(body: dict) -> object:  # type: ignore[type-arg]
        bodies.append(body)
        raise InvalidRequestError([Problem("", "is not wanted", "invalid")])

    environment.uploads.receive(
        environment.now(campaign),
        0,
        iter([b"phone,locale,name,points,due,metadata.order\n+1,de,,12.5,9.90 CHF,A1\n+2,,Zoe,x,y,\n"]),
        RowFormat.CSV,
        note,  # type: ignore[arg-type]
        is_last=True,
    )

    template = {"type": "sms", "template": "due", "version": 1}
    assert bodies == [
        template
        | {
            "to": {"phone": "+1"},
            "locale": "de",
            "variables": {"name": "you", "points": 12.5, "due": {"amount": "9.90", "currency": "CHF"}},
            "metadata": {"order": "A1"},
        },
        template | {"to": {"phone": "+2"}, "variables": {"name": "Zoe", "points": "x", "due": "y"}},
    ]


def test_gzip_is_undone_in_pieces_whatever_it_holds() -> None:
    zeros = bytes(50_000_000)
    packed = gzip.compress(zeros, 9) + gzip.compress(b"end")

    lengths = [len(piece) for piece in gunzipped(packed[at : at + 1000] for at in range(0, len(packed), 1000))]

    assert sum(lengths) == 50_000_003
    assert max(lengths) <= 256 * 1024


def test_gzip_that_stands_for_too_much_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="more than 1000000 bytes"):
        list(gunzipped(iter([gzip.compress(bytes(2_000_000))]), limit=1_000_000))


@pytest.mark.parametrize("rows", [b"", b"\n\n", b"phone\n", b"phone"])
def test_an_upload_without_a_row_is_not_complete(environment: CampaignEnvironment, rows: bytes) -> None:
    campaign = environment.create()

    with pytest.raises(InvalidRequestError, match="no row"):
        environment.upload(campaign, rows)
    assert environment.now(campaign).status is CampaignStatus.UPLOADING


def test_two_columns_for_one_place_are_refused(environment: CampaignEnvironment) -> None:
    campaign = environment.create()

    with pytest.raises(InvalidRequestError, match=r"'to\.phone' for the place of 'phone'"):
        environment.upload(campaign, b"phone,to.phone\n+1,+2\n")


@pytest.mark.parametrize("data", [b"phone\n+1\n", gzip.compress(b"phone\n+1\n")[:-3]], ids=["plain", "cut short"])
def test_what_is_no_whole_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="gzip"):
        list(gunzipped(iter([data])))
