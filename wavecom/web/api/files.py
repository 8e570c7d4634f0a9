"""``/api/files``: files that are uploaded once and named as attachments of many notifications."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.uploads import LISTED, NO_SUCH_FILE, UploadedFile, is_file_id
from wavecom.errors import UnsupportedMediaTypeError, UploadNotFoundError
from wavecom.services.web import WebServices
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.declarations import BYTES, Parameter
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.email import is_content_type
from wavecom.web.api.schemas.upload import UploadQuery
from wavecom.web.api.shapes import array, integer, record, text, timestamp
from wavecom.web.authentication import Authenticator, caller

PATH = "/api/files"

FILE_ID = Parameter(
    "file_id",
    "path",
    text(pattern="^[0-9a-fA-F]{32}$"),
    "the id that the file was uploaded with",
    "5f0c9d2e7a1b4c6d8e3f0a9b8c7d6e5f",
    True,
)
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_HOW = (
    "send the file itself as the body and say what it is: curl --data-binary @FILE -H 'Content-Type: application/pdf'"
)

FILE = record(
    "UploadedFile",
    {
        "fileId": text("what attachments name it by; the same for the same bytes"),
        "filename": text("what it is called where an attachment does not say"),
        "contentType": text("what it is, where an attachment does not say"),
        "size": integer("in bytes", minimum=1),
        "sha256": text("of its bytes", pattern="^[0-9a-f]{64}$"),
        "createdAt": timestamp("when it was uploaded first"),
        "expiresAt": timestamp("from then on it can't be named; notifications that have named it keep it"),
    },
)
_FILES = record("UploadedFiles", {"items": array(FILE, f"the newest first, at most {LISTED}")})
EXAMPLE: dict[str, Any] = {
    "fileId": FILE_ID.example,
    "filename": "terms.pdf",
    "contentType": "application/pdf",
    "size": 48_213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "createdAt": "2026-03-14T09:26:53.589Z",
    "expiresAt": "2026-04-13T09:26:53.589Z",
}


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; schemas are built here, once."""
    blueprint = ApiBlueprint(
        "files", __name__, url_prefix=PATH, description="Upload a file once, attach it to many mails."
    )
    authenticator = Authenticator(services.keys)
    uploads = services.uploads

    @blueprint.operation("POST", "", id="uploadFile")
    @authenticator.requires(KeyScope.SEND)
    @blueprint.reads(UploadQuery(), "query", example={"filename": "terms.pdf"})
    @blueprint.reads_text(
        BYTES,
        "the file itself; the Content-Type says what it is, such as application/pdf, and need not be this one",
        example="the bytes of a file",
    )
    @blueprint.answers(201, FILE, example=EXAMPLE, headers={"Location": "where it can be read"})
    @blueprint.fails(errors.UncertainWriteError)
    def upload(query: dict[str, Any]) -> Response:
        """Upload a file, of at most 10 MiB.

        Name it as `{"fileId": …}` among the attachments of as many mails as you like; it is read when they are
        delivered. The same bytes are the same file: uploading them again gives it the new name, and keeps it longer.
        It can be named for `ttlSeconds`, 30 days unless you say otherwise, and whatever has named it by then has it.
        """
        content_type, data = _body()
        file = uploads.upload(caller().client, data, query["filename"], content_type, UploadQuery.time_to_live(query))
        response = json_response(represented(file), 201)
        response.headers["Location"] = f"{request.root_path}{PATH}/{file.file_id}"
        return response

    @blueprint.operation("GET", "", id="listFiles")
    @authenticator.requires(KeyScope.READ)
    @blueprint.answers(200, _FILES, example={"items": [EXAMPLE]})
    def list_files() -> Response:
        """List your files that can be named now."""
        return json_response({"items": [represented(each) for each in uploads.all(caller().client)]})

    @blueprint.operation("GET", "/<file_id>", id="readFile")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(FILE_ID)
    @blueprint.answers(200, FILE, example=EXAMPLE)
    @blueprint.fails(errors.UploadNotFoundError)
    def read(file_id: str) -> Response:
        """What is known of a file; its bytes are read by nobody but the mails that name it."""
        return json_response(represented(uploads.get(caller().client, _id(file_id))))

    @blueprint.operation("DELETE", "/<file_id>", id="deleteFile")
    @authenticator.requires(KeyScope.SEND)
    @blueprint.takes(FILE_ID)
    @blueprint.answers(204, description="It is deleted; nothing new can name it.")
    @blueprint.fails(errors.UploadNotFoundError, errors.UncertainWriteError)
    def delete(file_id: str) -> Response:
        """Delete a file. Notifications that have named it are sent with it all the same."""
        uploads.remove(caller().client, _id(file_id))
        return Response(status=204)

    return blueprint


def represented(file: UploadedFile) -> dict[str, Any]:
    """A file as its client sees it."""
    return {
        "fileId": file.file_id,
        "filename": file.filename,
        "contentType": file.content_type,
        "size": file.size,
        "sha256": file.sha256,
        "createdAt": rfc3339(file.created_at),
        "expiresAt": rfc3339(file.expires_at),
    }


def _body() -> tuple[str, bytes]:
    """What the file is, and its bytes."""
    content_type = request.headers.get("Content-Type", "")
    if request.mimetype in _FORMS or not content_type:
        given = f"not be {request.mimetype}" if content_type else "be there"
        raise UnsupportedMediaTypeError(f"The Content-Type must {given}: {_HOW}.")
    if not is_content_type(content_type):
        raise UnsupportedMediaTypeError(f"The Content-Type is no media type that a mail can attach: {_HOW}.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("The body must not be compressed; leave the Content-Encoding out.")
    data = request.get_data(cache=False)
    limit = request.max_content_length
    if request.content_length is None and limit is not None and len(data) >= limit:
        raise RequestEntityTooLarge
    return content_type, data


def _id(given: str) -> str:
    if not is_file_id(given.lower()):
        raise UploadNotFoundError(NO_SUCH_FILE)
    return given.lower()
