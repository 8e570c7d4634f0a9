"""Errors as answers: RFC 9457 problem details for everything that goes wrong, from one table.

A body has ``type`` (an address on this host that explains the code), ``title``, ``status``, ``detail`` (what happened
and what to do), ``code`` (stable), ``requestId`` and, for input that is wrong, ``errors``: each with ``message``,
``code`` and the place: ``pointer`` (RFC 6901, in the body), ``parameter`` (in the query) or ``header``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed

from wavecom import errors
from wavecom.errors import InvalidRequestError, Problem, RateLimitedError, UnavailableError, WaveComError
from wavecom.web.limit_headers import limit_headers
from wavecom.web.problem_type import ProblemType as ProblemType
from wavecom.web.request_middleware import request_id

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
#: Where each code is explained, as the fragment of this address.
REFERENCE = "/docs/errors"


_WAIT = "try again after `Retry-After` seconds"
#: Errors that say themselves when to come again.
_WITH_RETRY_AFTER = (UnavailableError, RateLimitedError, errors.TooManyWrongKeysError, errors.TooManyStreamsError)
_OURS = ProblemType(
    500,
    "Internal error",
    "try again later; report the `requestId`",
    "The mistake is on our side and has been logged. Try again later; if it stays, report the requestId.",
)

#: Every class of ``wavecom.errors``; the nearest one in an error's ancestry answers for it.
PROBLEMS: dict[type[WaveComError], ProblemType] = {
    errors.RefusedError: ProblemType(
        400, "The request can't be taken", "see `detail`", example="What was asked for can't be done."
    ),
    errors.MalformedBodyError: ProblemType(
        400, "The body is not JSON", "send valid JSON in UTF-8", example="The body is empty. Send a JSON object."
    ),
    errors.BodyTooLargeError: ProblemType(
        413, "The body is too large", "send less", example="The body is over the limit of 14680064 bytes. Send less."
    ),
    errors.UnsupportedMediaTypeError: ProblemType(
        415,
        "The body is not declared as JSON",
        "send `Content-Type: application/json`, not compressed",
        example="The Content-Type must be application/json, not text/plain.",
    ),
    errors.RequestTimeoutError: ProblemType(
        408,
        "The body did not arrive in time",
        "send the request again, its body right after its head",
        example="The body did not arrive in time: 12 bytes in 30 seconds. Send the request again.",
    ),
    errors.InvalidRequestError: ProblemType(
        422, "The request has fields that are wrong", "mend the fields that `errors` names"
    ),
    errors.ChannelNotServedError: ProblemType(
        422,
        "No provider delivers notifications of this type here",
        "there is no route for its type, or none for its recipient, client and metadata: send another, or have a route "
        "added to the providers file",
    ),
    errors.NothingAcceptedError: ProblemType(
        422,
        "None of the notifications was accepted",
        "read `results`: each item has its own problem",
        example="None of the 2 notifications was accepted; results tells why, for each.",
    ),
    errors.UnauthenticatedError: ProblemType(
        401,
        "An API key is needed",
        "send a key that is valid",
        example="There is no API key. Send it in the header Authorization: Bearer <key>.",
    ),
    errors.TooManyWrongKeysError: ProblemType(
        429,
        "Too many wrong API keys",
        f"send the right key, which is let in at any time; with others, {_WAIT}",
        example="Too many wrong API keys came from this address. The right one is let in at any time; with others, "
        "wait 3 seconds.",
    ),
    errors.WrongSignatureError: ProblemType(
        401,
        "The receipt is not signed as it must be",
        "only for providers: have them sign with the secret of the providers file, for the address that they call",
        "The receipt's signature or password is missing, wrong or too old.",
    ),
    errors.ForbiddenError: ProblemType(
        403,
        "The API key lacks a right",
        "use a key with the scope that `detail` names",
        example="This API key may not do this: it needs the scope send.",
    ),
    errors.UnknownHostError: ProblemType(
        421,
        "This server has another name",
        "ask for it by its own name; who runs WaveCom allows more with `WAVECOM_ALLOWED_HOSTS`",
        example="WaveCom is not asked for under this name. If it is right, add the name to WAVECOM_ALLOWED_HOSTS.",
    ),
    errors.JobNotFoundError: ProblemType(
        404,
        "There is no such notification",
        "check the id, and that it was made with a key of the same client",
        example="There is no notification with this id for your key.",
    ),
    errors.KeyNotFoundError: ProblemType(
        404, "There is no such key", "check the id in the list of the keys that your key manages"
    ),
    errors.ProviderNotFoundError: ProblemType(
        404,
        "There is no such provider",
        "use a name of the providers file",
        example="There is no provider of this name; there are: mail, gateway.",
    ),
    errors.SuppressionNotFoundError: ProblemType(
        404,
        "There is no such entry of the suppression list",
        "check the id in the list, and that your key is of the same client and mode",
        example="There is no entry of the suppression list with this id for your key.",
    ),
    errors.CallbackNotFoundError: ProblemType(
        404,
        "There is no such callback",
        "check the id in the list, and that your key is of the same client and mode",
        example="There is no callback with this id for your key, or no such event for this callback.",
    ),
    errors.UploadNotFoundError: ProblemType(
        404,
        "There is no such file",
        "check the id in the list, and that your key is of the same client and mode; upload it again if it has expired",
        example="You have no file with this id: it was deleted, has expired, or never was.",
    ),
    errors.TemplateNotFoundError: ProblemType(
        404,
        "There is no such template",
        "check the name and the version in the list, and that your key is of the same client and mode",
        example="There is no template 'order-shipped'.",
    ),
    errors.RecipientNotFoundError: ProblemType(
        404,
        "There is no such recipient",
        "check the id in the list, and that your key is of the same client and mode",
        example="There is no recipient with this id for your key.",
    ),
    errors.CategoryNotFoundError: ProblemType(
        404,
        "There is no such category",
        "check the name in the list, and that your key is of the same client and mode",
        example="There is no category of this name for your key.",
    ),
    errors.CampaignNotFoundError: ProblemType(
        404,
        "There is no such campaign",
        "check the id in the list, and that your key is of the same client and mode",
        example="There is no campaign with this id for your key.",
    ),
    errors.EventsExpiredError: ProblemType(
        410,
        "These events are deleted",
        "read how your notifications stand, then go on from where `detail` says",
        example="Events behind this position have been deleted, after 7 days or more. Read how your notifications "
        "stand, and go on with `after=1204`, the oldest event that is kept.",
    ),
    errors.TooManyStreamsError: ProblemType(
        429,
        "Too many streams are open",
        f"close streams that nobody reads, or {_WAIT}",
        example="There are 20 event streams open for this key already. Read all events by one of them, close those "
        "that nobody reads, or read `GET /api/events` again and again.",
    ),
    errors.IdempotencyMismatchError: ProblemType(
        422,
        "The Idempotency-Key belongs to another request",
        "use a new key for a new notification",
        example="This Idempotency-Key was used before, with another body. Use a new key for a new notification.",
    ),
    errors.RateLimitedError: ProblemType(
        429,
        "Too many notifications at once",
        f"{_WAIT}; `RateLimit` tells what is left",
        example="This key may send 100 notifications in 10 seconds, and this request came too soon.",
    ),
    errors.QuotaExhaustedError: ProblemType(
        429,
        "The day's notifications are used up",
        f"{_WAIT}, or ask for a larger quota",
        example="This key may send 1000 notifications a day (UTC) and 0 are left; this request has 1.",
    ),
    errors.ConflictError: ProblemType(
        409,
        "The notification's status does not allow this",
        "see `detail`",
        example="The notification has been sent already.",
    ),
    errors.TransitionError: ProblemType(
        409,
        "The notification's status does not allow this",
        "read the notification: its status does not allow this",
        example="A notification that is delivered can't be moved any more.",
    ),
    errors.TooLateToCancelError: ProblemType(
        409,
        "It is too late to cancel",
        "read the notification: it is on its way, or done",
        example="A notification that is delivered can't be cancelled any more.",
    ),
    errors.MayHaveBeenSentError: ProblemType(
        409,
        "It may have been sent already",
        "read the notification's log: an attempt ended without a clear answer, so nobody can promise that nothing "
        "was sent",
        example="An earlier attempt ended without a clear answer, so the recipient may already have the message.",
    ),
    errors.NotFailedError: ProblemType(
        409,
        "The notification has not failed",
        "read the notification: only a failed one, or an unconfirmed one, can be started again",
        example="Only a failed notification, or an unconfirmed one, can be started again; this one is delivered.",
    ),
    errors.DuplicatePossibleError: ProblemType(
        409,
        "This might send it twice",
        "repeat it with `acceptDuplicate: true` if a second message is better than none, or settle it",
        example="This notification is unconfirmed and the recipient may already have it.",
    ),
    errors.NotUnconfirmedError: ProblemType(
        409,
        "The notification is not unconfirmed",
        "read the notification: only an unconfirmed one can be settled by hand",
        example="Only an unconfirmed notification can be settled by hand; this one is delivered.",
    ),
    errors.LostRaceError: ProblemType(
        409,
        "Somebody else changed the notification first",
        "read the notification again, then decide again",
        "The notification changed at the same moment and nothing was done. Read it again, then decide again.",
    ),
    errors.CampaignStatusError: ProblemType(
        409,
        "The campaign's status does not allow this",
        "read the campaign, then decide",
        example="A campaign that is finished can't be paused any more.",
    ),
    errors.UploadOffsetError: ProblemType(
        409,
        "These are not the next rows",
        "go on with the byte that the answer's `Upload-Offset` names",
        example="The next byte that is wanted is 4711: go on there, with `Upload-Offset: 4711`.",
    ),
    errors.KeyEndedError: ProblemType(409, "The key's state does not allow this", "list the keys, then decide"),
    errors.UnavailableError: ProblemType(
        503, "Not available now", _WAIT, "A server that WaveCom needs does not answer now. Nothing was done. Try again."
    ),
    errors.StoreError: ProblemType(
        503,
        "The store can't be reached",
        f"{_WAIT}; nothing was stored",
        "MongoDB does not answer now. Nothing was stored. Try again.",
    ),
    errors.UncertainWriteError: ProblemType(
        503,
        "It is not known whether this was stored",
        "repeat it with the same `Idempotency-Key`: it may have been stored",
        "MongoDB went away in the middle of the write: the request may or may not have been accepted. Repeat it with "
        "the same Idempotency-Key: that never sends twice. Without one, a repetition may.",
    ),
    errors.BrokerError: ProblemType(
        503, "The broker can't be reached", _WAIT, "RabbitMQ does not answer now. Try again."
    ),
    errors.OverloadedError: ProblemType(
        503,
        "Too many requests at once",
        _WAIT,
        "More requests are in flight than this server holds. Try again in a moment.",
    ),
    # These never leave a process that serves requests; the table is complete so that one that did would say nothing.
    errors.WaveComError: _OURS,
    errors.ConfigurationError: _OURS,
    errors.SettingsError: _OURS,
    errors.ProvidersFileError: _OURS,
    errors.RetryLater: _OURS,
    errors.RequeueError: _OURS,
}

#: HTTP's own errors, by status, with their codes. A status that is not here is answered in werkzeug's words, with
#: the code of 400 or of 500.
HTTP_PROBLEMS: dict[int, tuple[str, ProblemType]] = {
    400: ("bad_request", ProblemType(400, "Bad Request", "send valid HTTP", example="The request is not valid HTTP.")),
    404: (
        "not_found",
        ProblemType(
            404,
            "Not Found",
            "check the address",
            "There is nothing at this address. Check it for mistyped or missing parts.",
        ),
    ),
    405: (
        "method_not_allowed",
        ProblemType(
            405,
            "Method Not Allowed",
            "use a method of the `Allow` header",
            example="This address takes GET, HEAD, OPTIONS, not DELETE.",
        ),
    ),
    413: (errors.BodyTooLargeError.code, PROBLEMS[errors.BodyTooLargeError]),
    500: ("internal_error", _OURS),
}


_EXAMPLES_OF_ERRORS = {
    errors.InvalidRequestError.code: [
        {
            "pointer": "/to/phone",
            "message": "must be a phone number in E.164 form, such as +447700900123: begin with + and the country code",
            "code": "invalid",
        }
    ],
    errors.ChannelNotServedError.code: [
        {"pointer": problem.where, "message": problem.message, "code": problem.code}
        for problem in errors.ChannelNotServedError("sms", ["email"]).problems
    ],
}


def documented() -> dict[str, ProblemType]:
    """The problem_type of every code that a client can meet, in the order of their statuses."""
    codes = {error.code: problem_type for error, problem_type in PROBLEMS.items() if problem_type is not _OURS} | dict(
        HTTP_PROBLEMS.values()
    )
    return dict(sorted(codes.items(), key=lambda each: each[1].status))


def example(code: str, problem_type: ProblemType) -> dict[str, Any]:
    """A body as a client may get it."""
    wrong = _EXAMPLES_OF_ERRORS.get(code, [])
    detail = (
        _summary(len(wrong)) if wrong else (problem_type.detail or problem_type.example or f"{problem_type.title}.")
    )
    return _body(problem_type, code, detail, "5d6cf3b0a1b54bb08f0c0f2f4d1e6a77", wrong)


def problem_type_of(error: type[WaveComError]) -> ProblemType:
    """The problem_type of the nearest class in the ancestry of ``error``."""
    return next(PROBLEMS[each] for each in error.__mro__ if each in PROBLEMS)


def problem_type_for(error: WaveComError) -> ProblemType:
    """The problem_type of the nearest class in the error's ancestry."""
    return problem_type_of(type(error))


def answer(error: WaveComError, **members: Any) -> Response:
    """The response that tells a client about ``error``; ``members`` go into its body beside those of every problem."""
    headers = {}
    if isinstance(error, _WITH_RETRY_AFTER):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, RateLimitedError):
        headers |= limit_headers(error.limits)
    if isinstance(error, errors.UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Bearer realm="wavecom"'
    if isinstance(error, errors.WrongSignatureError):
        # Amazon SNS sends the password in its address only when it is asked for one.
        headers["WWW-Authenticate"] = 'Basic realm="receipts"'
    if isinstance(error, errors.UnsupportedMediaTypeError):
        headers |= {"Accept-Post": "application/json", "Accept-Encoding": "identity"}
    if isinstance(error, errors.UploadOffsetError):
        headers["Upload-Offset"] = str(error.offset)
    body = describe(error) | members
    if body["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # The error's own text may name hosts: it goes to the log, not to the client.
        log.warning("request_failed", code=error.code, error=str(error), endpoint=request.endpoint)
    return Response(orjson.dumps(body), body["status"], headers, content_type=MEDIA_TYPE)


def describe(error: WaveComError) -> dict[str, Any]:
    """The problem details of ``error``, for an answer of its own or as a part of one."""
    problem_type = problem_type_for(error)
    wrong = error.problems if isinstance(error, InvalidRequestError | errors.DuplicatePossibleError) else ()
    is_summed_up = isinstance(error, InvalidRequestError) and wrong
    detail = _summary(len(wrong)) if is_summed_up else (problem_type.detail or str(error))
    return _body(problem_type, error.code, detail, request_id(), [_place(problem) for problem in wrong])


def http_answer(error: HTTPException) -> Response:
    """The response for an error of HTTP's own: unknown address, wrong method, a bug of ours."""
    status = error.code or 500
    # The codes are a closed set, which clients' programs know: a status without one of its own has that of its class.
    code, known = HTTP_PROBLEMS.get(status) or HTTP_PROBLEMS[400 if status < HTTPStatus.INTERNAL_SERVER_ERROR else 500]
    problem_type = known if known.status == status else ProblemType(status, error.name, "")
    detail = problem_type.detail or error.description or error.name
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        detail = f"The body is over the limit of {request.max_content_length} bytes. Send less."
    if isinstance(error, MethodNotAllowed):
        detail = f"This address takes {', '.join(sorted(error.valid_methods or ()))}, not {request.method}."
    headers = {name: value for name, value in error.get_headers() if name not in {"Content-Type", "Content-Length"}}
    body = _body(problem_type, code, detail, request_id(), ())
    return Response(orjson.dumps(body), status, headers, content_type=MEDIA_TYPE)


def register(app: Flask) -> None:
    """Answer every error of ``app`` as a problem, also for addresses that no view has."""
    app.register_error_handler(WaveComError, answer)
    app.register_error_handler(HTTPException, http_answer)
    app.register_error_handler(InternalServerError, http_answer)


def _body(
    problem_type: ProblemType, code: str, detail: str, request_id: str, wrong: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": f"{REFERENCE}#{code}",
        "title": problem_type.title,
        "status": problem_type.status,
        "detail": detail,
        "code": code,
        "requestId": request_id,
    }
    return body | {"errors": list(wrong)} if wrong else body


def _summary(count: int) -> str:
    return "One field is wrong; see errors." if count == 1 else f"{count} fields are wrong; errors names each."


def _place(problem: Problem) -> dict[str, str]:
    """A problem's ``where`` begins with "/" (or is empty) in the body, with "?" in the query; else it is a header."""
    where = problem.where
    if where.startswith("?"):
        place = {"parameter": where[1:]}
    elif where and not where.startswith("/"):
        place = {"header": where}
    else:
        place = {"pointer": where}
    return place | {"message": problem.message, "code": problem.code}
