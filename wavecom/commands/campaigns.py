"""``wavecom campaigns``: a campaign made of a file, with its key; an upload that broke off goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
import orjson
import requests
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from wavecom.commands.console import INTERRUPTED, UNAVAILABLE, console, print_json, table_of
from wavecom.errors import UnavailableError

_TIMEOUT_SECONDS: Final = 60
#: Rows are checked while they come: the answer to a part may take its time.
_UPLOAD_SECONDS: Final = 600
#: Bytes of one request. After a break no more is sent again.
_PART: Final = 8 * 1024 * 1024
_PIECE: Final = 64 * 1024
#: Tries in a row without a byte more, and the pauses between them, each twice as long as the one before: a minute in
#: all, in which a server that was started again has long been back.
_TRIES: Final = 7
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
#: Answers to an upload that say nothing of the rows: it broke off, or nobody could take it now.
_BROKEN_OFF: Final = frozenset({408, 429, 502, 503, 504})
_TYPES: Final = {".csv": "text/csv", ".ndjson": "application/x-ndjson", ".jsonl": "application/x-ndjson"}

_URL = click.option("--url", required=True, metavar="URL", help="WaveCom's address.")
_KEY = click.option("--key", envvar="WAVECOM_API_KEY", hidden=True)
_ID = click.argument("campaign_id", metavar="CAMPAIGN")


@click.group("campaigns", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def campaigns() -> None:
    """Send one message to many recipients, who stand in a file of CSV or NDJSON.

    \b
    With a key in WAVECOM_API_KEY; its mode, live or test, says whether anybody is reached:
      wavecom campaigns upload people.csv --url https://wavecom.example --define campaign.json
      wavecom campaigns rejected CAMPAIGN --url https://wavecom.example
      wavecom campaigns start CAMPAIGN --url https://wavecom.example
      wavecom campaigns list --url https://wavecom.example

    How campaigns are defined: docs/guides/campaigns.md.

    \b
    Exit code: 0 done; 1 something was refused, a server is away; 2 asked for wrongly.
    """


@campaigns.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_URL
@_KEY
@click.option(
    "--define",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="JSON",
    help="A file with the campaign, as POST /api/campaigns takes it.",
)
@click.option("--resume", metavar="CAMPAIGN", help="Go on with the upload of this one, which broke off.")
def upload(file: Path, url: str, key: str | None, define: Path | None, resume: str | None) -> None:
    """Make a campaign of FILE, or go on with one whose upload broke off. Nothing is sent before it is started."""
    if (define is None) == (resume is None):
        raise click.UsageError("Say either what the campaign is, with --define, or which one goes on, with --resume.")
    content_type = _TYPES.get(file.suffix.lower())
    if content_type is None:
        raise click.UsageError(f"{file.name} must end in one of {', '.join(_TYPES)}.")
    with _explaining_errors():
        api = CampaignApi(url, key)
        if resume is None and define is not None:
            resume = str(api.ask("POST", "", _json_of(define))["campaignId"])
            click.echo(f"Campaign {resume}")
        try:
            told = _upload(api, str(resume), file, content_type)
        except KeyboardInterrupt:
            click.echo(f"Interrupted. {_how_to_go_on(str(resume))}.", err=True)
            raise SystemExit(INTERRUPTED) from None
    click.echo(f"{told['rows']:,} rows, {told['rejected']:,} of them rejected.")
    if told["rejected"]:
        click.echo(f"Why: wavecom campaigns rejected {resume} --url {url}")


@campaigns.command("list")
@_URL
@_KEY
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(url: str, key: str | None, as_json: bool) -> None:
    """List the newest campaigns with their progress."""
    with _explaining_errors():
        found = CampaignApi(url, key).ask("GET", "")["items"]
    if as_json:
        for each in found:
            print_json(each)
        return
    table = table_of(
        "campaign", "name", "status", "rows", "rejected", "sent on", "waiting", whole=frozenset({"campaign"})
    )
    for each in found:
        counts = each["counts"]
        numbers = [f"{counts[name]:,}" for name in ("rows", "rejected", "queued", "waiting")]
        table.add_row(each["campaignId"], each["name"], each["status"], *numbers)
    console().print(table)


@campaigns.command()
@_ID
@_URL
@_KEY
def show(campaign_id: str, url: str, key: str | None) -> None:
    """Print how one stands, as JSON."""
    with _explaining_errors():
        print_json(CampaignApi(url, key).ask("GET", f"/{campaign_id}"))


@campaigns.command()
@_ID
@_URL
@_KEY
def rejected(campaign_id: str, url: str, key: str | None) -> None:
    """Print the rows that are not sent, with the reasons, as CSV."""
    with _explaining_errors():
        for part in CampaignApi(url, key).rejected(campaign_id):
            click.echo(part, nl=False)


def _action(name: str, words: str) -> None:
    @campaigns.command(name, help=words)
    @_ID
    @_URL
    @_KEY
    def act(campaign_id: str, url: str, key: str | None) -> None:
        with _explaining_errors():
            told = CampaignApi(url, key).ask("POST", f"/{campaign_id}/{name}")
        click.echo(f"{told['name']}: {told['status']}")


_action("start", "Have its rows sent.")
_action("approve", "Agree to a large one that somebody else has made and started.")
_action("pause", "Send no further row until it is resumed.")
_action("resume", "Go on with one that was paused.")
_action("cancel", "Send no further row, and cancel what waits. There is no way back.")


class CampaignApi:
    """The API of campaigns for who has a key. Raises ``UnavailableError`` with what it answers, ``UsageError``."""

    def __init__(self, url: str, key: str | None) -> None:
        if not key:
            raise click.UsageError("This needs a key with the scopes read and send in WAVECOM_API_KEY.")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the API answers to one request."""
        return self._told(self._request(method, path, json=body))

    def upload_state(self, campaign_id: str) -> Any:
        """How far the upload of its rows is; None: nobody can say it now."""
        try:
            answer = self._request("GET", f"/{campaign_id}/rows")
        except UnavailableError:
            return None
        return None if answer.status_code in _BROKEN_OFF else self._told(answer)

    def send_rows(self, campaign_id: str, offset: int, rows: Iterator[bytes], content_type: str, is_last: bool) -> Any:
        """Upload rows from a byte on; None: it broke off, or somebody was quicker: ask for the offset."""
        headers = {
            "Content-Type": content_type,
            "Upload-Offset": str(offset),
            "Upload-Complete": "?1" if is_last else "?0",
        }
        try:
            answer = self._request("PATCH", f"/{campaign_id}/rows", data=rows, headers=headers, timeout=_UPLOAD_SECONDS)
        except UnavailableError:
            return None
        if answer.status_code in _BROKEN_OFF or (answer.headers.get("Upload-Offset") and not answer.ok):
            return None
        return self._told(answer)

    def rejected(self, campaign_id: str) -> Iterator[bytes]:
        """The rejected rows, part by part."""
        answer = self._request("GET", f"/{campaign_id}/rejected", stream=True, timeout=_UPLOAD_SECONDS)
        if not answer.ok:
            self._told(answer)
        yield from answer.iter_content(_PIECE)

    def _request(
        self,
        method: str,
        path: str,
        *,
        timeout: float = _TIMEOUT_SECONDS,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Any:
        try:
            return requests.request(
                method,
                f"{self._url}/api/campaigns{path}",
                headers=self._headers | (headers or {}),
                timeout=timeout,
                **options,
            )
        except requests.RequestException as error:
            raise UnavailableError(f"{self._url} does not answer ({type(error).__name__})") from error

    def _told(self, answer: Any) -> Any:
        try:
            told = answer.json()
        except requests.RequestException as error:
            raise UnavailableError(f"{self._url} answers {answer.status_code}, and no JSON") from error
        if not answer.ok:
            wrong = "".join(
                f"\n  {each.get('pointer') or each.get('header') or ''}: {each['message']}"
                for each in told.get("errors", ())
            )
            click.echo(f"{told.get('detail', told)}{wrong}", err=True)
            raise SystemExit(1)
        return told


def _json_of(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise click.UsageError(f"{path.name} is no JSON: {error}") from error


def _upload(api: CampaignApi, campaign_id: str, file: Path, content_type: str) -> Any:
    """Send the file in parts from wherever the upload is; the last answer. Raises ``UnavailableError`` at last."""
    size = os.path.getsize(file)
    state: Any = None
    furthest, tries = -1, 0
    bar = Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console(), transient=True)
    with file.open("rb") as stream, bar:
        task = bar.add_task("upload", total=size)
        while state is None or not state["complete"]:
            is_asked = state is None
            if is_asked:
                state = api.upload_state(campaign_id)
            else:
                offset = state["offset"]
                end = min(size, offset + _PART)
                rows = _pieces(stream, offset, end)
                state = api.send_rows(campaign_id, offset, rows, content_type, end == size)
            if state is not None and (state["complete"] or state["offset"] > furthest):
                furthest, tries = state["offset"], 0
                bar.update(task, completed=furthest)
            elif state is None or not is_asked:
                tries += 1
                if tries >= _TRIES:
                    where = f"The upload stands at byte {furthest}" if furthest >= 0 else "Nobody says where it stands"
                    raise UnavailableError(f"{where}. {_how_to_go_on(campaign_id)}")
                time.sleep(min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (tries - 1)))
    return state


def _how_to_go_on(campaign_id: str) -> str:
    return f"Go on with --resume {campaign_id} in place of --define: what was stored is not uploaded again"


@contextmanager
def _explaining_errors() -> Iterator[None]:
    """As ``console.explaining_errors``, for who knows WaveCom by its address alone."""
    try:
        yield
    except UnavailableError as error:
        click.echo(f"{error}.", err=True)
        raise SystemExit(UNAVAILABLE) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _pieces(stream: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    stream.seek(begin)
    while begin < end and (piece := stream.read(min(_PIECE, end - begin))):
        begin += len(piece)
        yield piece
