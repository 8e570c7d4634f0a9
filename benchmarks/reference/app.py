"""The web app: validate, insert, ``apply_async``."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError

from benchmarks.reference.tasks import send_notification


class NotificationSchema(Schema):
    """What is accepted."""

    class Meta:
        unknown = EXCLUDE

    type = fields.String(required=True, validate=validate.OneOf(["email", "sms", "push"]))
    to = fields.Dict(required=True)
    payload = fields.Dict(required=True)
    metadata = fields.Dict(load_default=dict)
    priority = fields.String(load_default="normal", validate=validate.OneOf(["high", "normal", "bulk"]))


app = Flask(__name__)
client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGODB_URI"])
jobs = client.get_default_database()["jobs"]
jobs.create_index("jobId", unique=True)
jobs.create_index("idempotencyKey", unique=True, sparse=True)
jobs.create_index("status")
jobs.create_index("createdAt")
schema = NotificationSchema()


@app.get("/healthz")
def healthz() -> Response:
    """200 while the store answers."""
    client.admin.command("ping")
    return jsonify(status="ok")


@app.post("/api/notifications")
def send() -> tuple[Response, int]:
    """Store the job, then queue its task: 202, or 401 and 422."""
    if request.headers.get("Authorization") != f"Bearer {os.environ['WAVECOM_API_KEY']}":
        return jsonify(error="unauthorized"), 401
    try:
        notification = schema.load(request.get_json())
    except ValidationError as error:
        return jsonify(errors=error.messages), 422
    now = datetime.now(UTC)
    job = {
        "jobId": str(uuid.uuid4()),
        **notification,
        "status": "queued",
        "attempts": 0,
        "maxAttempts": 5,
        "logs": [{"at": now, "event": "queued"}],
        "createdAt": now,
        "updatedAt": now,
    }
    key = request.headers.get("Idempotency-Key")
    if key:
        job["idempotencyKey"] = key
    try:
        jobs.insert_one(job)
    except DuplicateKeyError:
        first = jobs.find_one({"idempotencyKey": key}, {"jobId": 1, "status": 1})
        assert first is not None  # noqa: S101 - whose key it is
        return jsonify(jobId=first["jobId"], status=first["status"]), 202
    send_notification.apply_async(args=(job["jobId"],))
    return jsonify(jobId=job["jobId"], status="queued"), 202
