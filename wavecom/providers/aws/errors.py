"""The type of an error that an API of AWS answers with."""

from __future__ import annotations

from wavecom.providers.responses import json_at
from wavecom.providers.transport import Response


def error_type(response: Response) -> str | None:
    """``"MessageRejected"``, from the header or the JSON body, without namespace and without ``Exception`` at its end.

    https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
    """
    found = response.headers.get("x-amzn-errortype") or json_at(response, "__type") or json_at(response, "code")
    if not isinstance(found, str):
        return None
    return found.partition(":")[0].rpartition("#")[2].removesuffix("Exception")
