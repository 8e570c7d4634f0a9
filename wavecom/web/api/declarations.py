"""What an operation says about itself: what it takes, how it answers, how it fails. ``blueprint.py`` tells how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from wavecom import errors
from wavecom.errors import WaveComError
from wavecom.web.api.shapes import Json, NeverCopied, Shape, uuid

#: The media type of a body of bytes, whatever they are.
BYTES: Final = "application/octet-stream"

ErrorClasses = tuple[type[WaveComError], ...]

#: What any operation can answer with, whatever it does.
UNIVERSAL: ErrorClasses = (errors.UnknownHostError, errors.OverloadedError)
#: What it can answer with besides when it asks for a key.
GUARDED: ErrorClasses = (
    errors.UnauthenticatedError,
    errors.TooManyWrongKeysError,
    errors.ForbiddenError,
    errors.StoreError,
)
#: What it can answer with besides when it reads from there.
READING: Mapping[str, ErrorClasses] = {
    "json": (
        errors.MalformedBodyError,
        errors.RequestTimeoutError,
        errors.BodyTooLargeError,
        errors.UnsupportedMediaTypeError,
        errors.InvalidRequestError,
    ),
    "query": (errors.InvalidRequestError,),
    "text": (
        errors.RequestTimeoutError,
        errors.BodyTooLargeError,
        errors.UnsupportedMediaTypeError,
        errors.InvalidRequestError,
    ),
}


@dataclass(frozen=True, slots=True)
class Parameter(NeverCopied):
    """A header, or a part of the path, that a client sends; ``example`` fits ``schema``."""

    name: str
    place: Literal["header", "path"]
    schema: Json
    description: str
    example: str
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class DeclaredResponse(NeverCopied):
    """One status with which an operation succeeds. ``shape`` None: no body."""

    status: int
    shape: Shape | None
    example: Any
    description: str = ""
    #: Name of a header → what it says.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: operationId of another operation → its parameter → JSON pointer into this answer's body.
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class DeclaredInput(NeverCopied):
    """That an operation reads from ``location``, with an example of it."""

    location: str
    example: Any


@dataclass(frozen=True, slots=True)
class DeclaredText(NeverCopied):
    """That an operation reads a body that is no JSON."""

    media_type: str
    description: str
    example: str


@dataclass(frozen=True, slots=True)
class DeclaredErrors(NeverCopied):
    """Errors that an operation can answer with."""

    classes: ErrorClasses


#: The id of a notification in a path.
JOB_ID = Parameter(
    "job_id",
    "path",
    uuid(),
    "the id that the notification was accepted with",
    "019cebab-8995-7000-8000-000000000001",
    True,
)
