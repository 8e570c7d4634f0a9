"""What is sent to Vonage: what its own library accepts as a message, within the bounds that its API names."""

from __future__ import annotations

from typing import Any

import pytest
from vonage_sms import SmsMessage

from tests.unit.providers.conftest import Environment
from tests.unit.providers.sms import RECEIPTS_URL, form, sent_request, sms, sms_provider
from wavecom.errors import ProvidersFileError

TABLE = 'type = "vonage"\napi_key = "abcd1234"\napi_secret = "s3cret"\nsender = "+15005550006"'
SIGNED = TABLE + '\nsignature_secret = "k"'


def fields_for(
    environment: Environment, table: str = SIGNED, receipts_url: str | None = RECEIPTS_URL, **named: Any
) -> dict[str, str]:
    request = sent_request(environment, sms_provider(environment, table, receipts_url), sms(**named))
    assert request.url == "https://rest.nexmo.com/sms/json"
    return form(request)


def test_a_message_is_what_vonages_library_accepts(environment: Environment) -> None:
    fields = fields_for(environment, seconds=600)

    assert fields == {
        "api_key": "abcd1234",
        "api_secret": "s3cret",
        "from": "15005550006",
        "to": "12025550143",
        "text": "Ihr Code: 123456",
        "type": "text",
        "client-ref": "job-1",
        "ttl": "600000",
        "callback": f"{RECEIPTS_URL}/it",
    }
    names = {"from": "from_", "client-ref": "client_ref"}
    model = SmsMessage(
        **{names.get(name, name): value for name, value in fields.items() if not name.startswith("api_")}
    )
    ours = {name: value for name, value in fields.items() if not name.startswith("api_")}
    assert {name: str(value) for name, value in model.model_dump(by_alias=True, exclude_none=True).items()} == ours


@pytest.mark.parametrize(
    ("text", "kind"), [("Grüße {€}", "text"), ("Привет", "unicode"), ("😀", "unicode"), ("ê", "unicode")]
)
def test_what_is_not_in_the_gsm_alphabet_goes_as_unicode(environment: Environment, text: str, kind: str) -> None:
    fields = fields_for(environment, text=text)

    assert (fields["text"], fields["type"]) == (text, kind)


@pytest.mark.parametrize(
    ("seconds", "ttl"), [(None, None), (-5, "20000"), (3, "20000"), (604_799, "604799000"), (604_800, None)]
)
def test_the_time_to_live_keeps_within_vonages_bounds(
    environment: Environment, seconds: float | None, ttl: str | None
) -> None:
    assert fields_for(environment, seconds=seconds).get("ttl") == ttl


def test_a_message_may_choose_its_sender(environment: Environment) -> None:
    assert fields_for(environment, senderId="Bank")["from"] == "Bank"


def test_receipts_are_expected_where_they_can_be_verified_alone(environment: Environment) -> None:
    assert "callback" not in fields_for(environment, TABLE)
    assert "callback" not in fields_for(environment, receipts_url=None)
    assert sms_provider(environment, SIGNED).expects_receipts
    assert not sms_provider(environment, TABLE, RECEIPTS_URL).expects_receipts


def test_an_address_that_is_too_long_for_vonage_is_not_sent(environment: Environment) -> None:
    long = "https://notify.bank.example/" + "a" * 80

    assert "callback" not in fields_for(environment, receipts_url=long)


def test_a_signature_method_that_vonage_does_not_have_is_refused(environment: Environment) -> None:
    with pytest.raises(ProvidersFileError, match="md5hash, md5, sha1, sha256, sha512"):
        sms_provider(environment, TABLE + '\nsignature_method = "sha3"')
