"""Uses the client that openapi-generator makes for Python: every step fails loudly when a type does not fit."""

import base64
import os
import time
from datetime import datetime

import openapi_client as wavecom

configuration = wavecom.Configuration(host=os.environ["WAVECOM_URL"], access_token=os.environ["WAVECOM_API_KEY"])
api = wavecom.NotificationsApi(wavecom.ApiClient(configuration))


def send(notification):
    return api.send_notification(wavecom.NotificationRequest(notification))


def delivered(job_id):
    for _ in range(300):
        found = api.read_notification(job_id)
        if found.status == "delivered":
            return found
        time.sleep(0.1)
    raise AssertionError(f"{job_id} is still {found.status}")


accepted = send(
    wavecom.SmsNotification(
        type="sms", to=wavecom.SmsTo(phone="+447700900123"), payload=wavecom.SmsPayload(text=" Your code is 493817")
    )
)
assert isinstance(accepted.created_at, datetime), accepted
assert accepted.segments == 1, accepted
sms = delivered(accepted.job_id)
assert sms.payload.actual_instance.text == " Your code is 493817", sms
assert sms.to.actual_instance.phone == "+447700900123", sms
assert [entry.event for entry in sms.logs] == ["accepted", "delivered"], sms.logs
assert isinstance(sms.logs[0].at, datetime)
assert sms.error is None

accepted = send(
    wavecom.EmailNotification(
        type="email",
        to=wavecom.EmailTo(email="amina@example.com", name="Amina"),
        payload=wavecom.EmailPayload(
            subject="Your receipt",
            text="Thank you.",
            reply_to=wavecom.Mailboxes("bank@example.com"),
            attachments=[
                wavecom.Attachment(
                    filename="receipt.pdf",
                    content_type="application/pdf",
                    content=base64.b64encode(b"%PDF-1.7").decode(),
                )
            ],
        ),
        priority="normal",
        metadata={"order": wavecom.MetadataValue(42)},
    )
)
email = delivered(accepted.job_id)
assert email.payload.actual_instance.attachments[0].size == 8, email
assert email.metadata["order"].actual_instance == 42, email

accepted = send(
    wavecom.PushNotification(
        type="push",
        to=wavecom.PushTo(platform="fcm", token="device-1"),
        payload=wavecom.PushPayload(title="On its way", data={"order": "42"}),
    )
)
push = delivered(accepted.job_id)
assert push.payload.actual_instance.title == "On its way", push
assert push.to.actual_instance.platform == "fcm", push

page = api.list_notifications(limit=2)
assert len(page.items) == 2, page
assert page.next, page

results = api.send_notifications(
    wavecom.Batch(
        notifications=[
            wavecom.BatchItem(
                wavecom.BatchSms(
                    type="sms",
                    to=wavecom.SmsTo(phone="+447700900124"),
                    payload=wavecom.SmsPayload(text="Hello"),
                    idempotency_key="generated-python-1",
                )
            ),
        ]
    )
)
assert results.accepted == 1, results
assert results.results[0].notification.status == "queued", results


def problem_of(call):
    try:
        call()
    except wavecom.ApiException as failed:
        return failed.data
    raise AssertionError("it was taken")


bad = wavecom.SmsNotification(type="sms", to=wavecom.SmsTo(phone="+4477009"), payload=wavecom.SmsPayload(text="Hello"))
refused = problem_of(lambda: send(bad))
assert refused.code == "invalid_request", refused
assert (refused.errors[0].pointer, refused.errors[0].code) == ("/to/phone", "invalid"), refused

missing = problem_of(lambda: api.read_notification("019cebab-8995-7000-8000-000000000001"))
assert missing.code == "job_not_found", missing

assert wavecom.HealthApi(wavecom.ApiClient(configuration)).is_ready().status == "ready"
print("every step done")
