"""The guide docs/guides/fallback.md as it stands: each of its examples runs, and does what it says."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.guides import examples_in, page_of, run_commands
from tests.web_process import WebProcess

COMMANDS = examples_in(page_of("fallback.md"))


def test_every_example_of_the_guide_does_what_it_says(
    tmp_path: Path, amqp_url: str, redis_url: str, mongodb_uri: str
) -> None:
    servers = {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    # No worker: what is cancelled is cancelled before anybody could send it.
    with WebProcess(tmp_path, servers) as web:
        run_commands(COMMANDS, tmp_path, {**os.environ, "WAVECOM": web.url, "WAVECOM_API_KEY": web.key})

    accepted, whole, careful, cancelled = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("fallback", "whole", "careful", "cancelled")
    )
    assert [step["type"] for step in accepted["steps"]] == ["push", "sms", "email"]
    assert [step["status"] for step in whole["steps"]] == ["queued", None, None]
    assert [step["waitSeconds"] for step in careful["steps"]] == [300, None]
    assert (cancelled["jobId"], cancelled["status"], cancelled["mayHaveBeenSent"]) == (
        accepted["jobId"],
        "cancelled",
        False,
    )
    assert [step["status"] for step in cancelled["steps"]] == ["cancelled", None, None]
