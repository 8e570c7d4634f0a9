"""What is sent to AWS: what botocore, AWS's own library, makes of the same message by AWS's description of its API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

from tests.unit.providers.conftest import NOW, Environment
from tests.unit.providers.sms import form, sent_request, sms, sms_provider
from wavecom.core.job import Outcome
from wavecom.errors import ProvidersFileError
from wavecom.providers.aws.sigv4 import AwsCredentials, signed_headers

TABLE = 'type = "sns"\nregion = "eu-west-1"\naccess_key_id = "AKIDEXAMPLE"\nsecret_access_key = "s3cret"'
MESSAGING = TABLE + '\napi = "end_user_messaging"\nconfiguration_set = "wavecom"\nsender = "Bank"'


def by_botocore(service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The request that botocore makes of these parameters, which it checks against AWS's description of its API."""
    model = ServiceModel(Loader().load_service_model(service, "service-2"), service).operation_model(operation)
    report = ParamValidator().validate(parameters, model.input_shape)
    assert not report.has_errors(), report.generate_report()
    serialized: dict[str, Any] = create_serializer(model.metadata["protocol"]).serialize_to_request(parameters, model)
    return serialized


def attribute(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


@pytest.mark.parametrize(
    ("sender", "name"), [("Bank", "AWS.SNS.SMS.SenderID"), ("+15005550006", "AWS.MM.SMS.OriginationNumber")]
)
def test_publish_is_what_botocore_makes_of_the_message(environment: Environment, sender: str, name: str) -> None:
    request = sent_request(environment, sms_provider(environment, f'{TABLE}\nsender = "{sender}"'), sms("Grüße & ="))

    expected = by_botocore(
        "sns",
        "Publish",
        {
            "PhoneNumber": "+12025550143",
            "Message": "Grüße & =",
            "MessageAttributes": {"AWS.SNS.SMS.SMSType": attribute("Transactional"), name: attribute(sender)},
        },
    )
    assert request.url == "https://sns.eu-west-1.amazonaws.com/"
    assert form(request) == expected["body"]
    assert request.headers["Content-Type"] == expected["headers"]["Content-Type"]


def test_without_a_sender_aws_chooses_one(environment: Environment) -> None:
    fields = form(sent_request(environment, sms_provider(environment, TABLE), sms()))

    assert not [value for value in fields.values() if "Sender" in value or "Origination" in value]


@pytest.mark.parametrize(("seconds", "life"), [(None, None), (600, 600), (-5, 5), (3, 5), (259_200, None)])
def test_send_text_message_is_what_botocore_makes_of_the_message(
    environment: Environment, seconds: float | None, life: int | None
) -> None:
    request = sent_request(environment, sms_provider(environment, MESSAGING), sms("Grüße", seconds=seconds))

    parameters = {
        "DestinationPhoneNumber": "+12025550143",
        "OriginationIdentity": "Bank",
        "MessageBody": "Grüße",
        "MessageType": "TRANSACTIONAL",
        "ConfigurationSetName": "wavecom",
        "Context": {"jobId": "job-1"},
    } | ({"TimeToLive": life} if life else {})
    expected = by_botocore("pinpoint-sms-voice-v2", "SendTextMessage", parameters)
    assert request.url == "https://sms-voice.eu-west-1.amazonaws.com/"
    assert json.loads(request.body) == json.loads(expected["body"])
    assert {name: request.headers[name] for name in ("Content-Type", "X-Amz-Target")} == {
        name: expected["headers"][name] for name in ("Content-Type", "X-Amz-Target")
    }


@pytest.mark.parametrize(("table", "service"), [(TABLE, "sns"), (MESSAGING, "sms-voice")])
def test_requests_are_signed_for_the_service_that_they_go_to(
    environment: Environment, table: str, service: str
) -> None:
    request = sent_request(environment, sms_provider(environment, table), sms())

    credentials = AwsCredentials(
        access_key_id="AKIDEXAMPLE", secret_access_key="s3cret", region="eu-west-1", service=service
    )
    unsigned = {name: request.headers[name] for name in request.headers if name not in {"X-Amz-Date", "Authorization"}}
    assert request.headers == signed_headers(credentials, "POST", request.url, unsigned, request.body, NOW)


@pytest.mark.parametrize("sender_id", ["My Bank", "A&B", "a.b"])
def test_a_name_that_sns_does_not_take_is_left_to_the_next_provider(environment: Environment, sender_id: str) -> None:
    result = sms_provider(environment, TABLE).send(sms(senderId=sender_id))

    assert (result.outcome, result.is_final_here) == (Outcome.UNAVAILABLE, True)
    assert result.message.startswith("payload.senderId: ")
    assert environment.transport.requests == []


def test_china_has_a_domain_of_its_own(environment: Environment) -> None:
    provider = sms_provider(environment, TABLE.replace("eu-west-1", "cn-north-1"))

    assert sent_request(environment, provider, sms()).url == "https://sns.cn-north-1.amazonaws.com.cn/"


def test_receipts_are_expected_of_end_user_messaging_with_a_topic_alone(environment: Environment) -> None:
    topic = '\ntopic_arns = ["arn:aws:sns:eu-west-1:123456789012:sms-events"]'

    expecting = [sms_provider(environment, table).expects_receipts for table in (TABLE + topic, MESSAGING)]

    assert expecting == [False, False]
    assert sms_provider(environment, MESSAGING + topic).expects_receipts


def test_a_configuration_set_belongs_to_end_user_messaging(environment: Environment) -> None:
    with pytest.raises(ProvidersFileError, match="SNS has none"):
        sms_provider(environment, TABLE + '\nconfiguration_set = "wavecom"')
