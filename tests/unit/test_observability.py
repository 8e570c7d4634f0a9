"""Log lines of a process, by a process of its own: what is configured holds for the whole of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.log_events import documented_events, documented_rows, logged_events
from wavecom.observability import TraceIds

PROGRAM = r"""
import logging
import structlog
from wavecom.observability import configure_logging

configure_logging("info", "web")
log = structlog.get_logger()
log.warning("plain", count=1)
log.warning("odd", text="half \ud83d", number=10**30, names={7: "seven"})
try:
    raise RuntimeError("half \udc80")
except RuntimeError:
    log.exception("failed")
logging.getLogger("library").warning("half %s", "\udfff")
log.warning("last")
"""


def test_whatever_a_line_tells_it_is_json_and_costs_its_teller_nothing() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)

    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["plain", "odd", "failed", "half \udfff", "last"]
    assert lines[1]["text"] == "half \ud83d"
    assert lines[1]["number"] == 10**30
    assert "RuntimeError: half" in lines[2]["exception"]
    assert {line["process"] for line in lines} == {"web"}


TRACED = r"""
import structlog
from wavecom.observability import configure_logging, show_trace_ids

configure_logging("info", "celery")
log = structlog.get_logger()
log.warning("before", job_id="j-1")
show_trace_ids().note("j-1", "t-1")
log.warning("known", job_id="j-1")
log.warning("other", job_id="j-2")
log.warning("odd", job_id=["j-1"])
log.warning("its own", job_id="j-1", trace_id="t-2")
log.warning("no job")
"""


def test_lines_about_a_traced_job_name_its_trace() -> None:
    ran = subprocess.run([sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=60, check=True)

    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["event"], line.get("trace_id")) for line in lines] == [
        ("before", None),
        ("known", "t-1"),
        ("other", None),
        ("odd", None),
        ("its own", "t-2"),
        ("no job", None),
    ]


def test_traces_of_jobs_are_forgotten_when_there_are_many() -> None:
    ids = TraceIds(most=3)
    for number in (1, 2, 1, 3, 4):
        ids.note(f"j-{number}", f"t-{number}")

    assert [ids.of(f"j-{number}") for number in range(1, 5)] == ["t-1", None, "t-3", "t-4"]


TROUBLED = r"""
import logging
import structlog
from wavecom.observability import configure_logging

configure_logging("debug", "web")
log = structlog.get_logger()

def fail(error, cause=None):
    try:
        raise error from cause
    except BaseException:
        log.exception("ours")
        logging.getLogger("library").exception("theirs")

fail(ValueError("quokka@secret.example"))
fail(KeyError("quokka"), cause=ConnectionRefusedError("10.0.0.7:5672 refused"))
fail(ExceptionGroup("quokka", [LookupError("quokka")]))
try:
    raise ValueError("quokka")
except ValueError as error:
    logging.getLogger("celery.app.trace").error(
        "Task %(name)s[%(id)s] %(exc)s", {"name": "t", "id": "7", "exc": repr(error)}, exc_info=True
    )
    logging.getLogger("asyncio").error(f"never retrieved\nfuture: {error!r}", exc_info=error)
logging.getLogger("any.library").debug("command: quokka")
logging.getLogger("urllib3.connectionpool").warning("Failed to parse headers (url=https://push.example/quokka)")
logging.getLogger("any.library").info("heard")
log.debug("debugged")
"""


def test_at_debug_no_library_and_no_error_says_what_was_being_handled() -> None:
    ran = subprocess.run([sys.executable, "-c", TROUBLED], capture_output=True, text=True, timeout=60, check=True)

    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    # The source of the program has it, which a traceback shows; of a program in a string there is none to show.
    assert "quokka" not in ran.stderr
    events = ["ours", "theirs"] * 3 + ["Task t[7] failed", "never retrieved", "heard", "debugged"]
    assert [line["event"] for line in lines] == events
    assert lines[0]["exception"].splitlines()[-1] == "ValueError (text left out)"
    assert "ConnectionRefusedError: 10.0.0.7:5672 refused\nthen:" in lines[2]["exception"]
    assert "in it:\nLookupError (text left out)" in lines[5]["exception"]
    assert all("line" in lines[at]["exception"] for at in (0, 1, 6, 7))


def test_the_guide_has_every_event_with_its_levels_and_fields_and_no_other() -> None:
    assert len(logged_events()) > 140

    assert documented_events() == logged_events()


def test_every_row_says_what_the_event_means() -> None:
    assert {event for event, _, _, meaning in documented_rows() if len(meaning.strip()) < 15} == set()


def test_events_are_words_and_no_field_is_named_for_what_must_not_be_logged() -> None:
    forbidden = {"to", "recipient", "email", "phone", "name", "subject", "text", "html", "body", "payload", "token"}
    forbidden |= {"variables", "metadata", "secret", "password", "api_key", "url", "query", "headers", "response"}

    assert [name for name in logged_events() if not re.fullmatch(r"[a-z][a-z_]+", name)] == []
    assert {name: each.fields & forbidden for name, each in logged_events().items() if each.fields & forbidden} == {}
