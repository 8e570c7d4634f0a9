"""``wavecom templates``: templates as files in a folder, brought into WaveCom and back."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from wavecom.commands.console import console, explaining_errors, open_services, operator_name, print_json, table_of
from wavecom.commands.template_places import KeptTemplate, RemoteTemplates, StoredTemplates, TemplatePlace
from wavecom.core.account import CLIENT_NAME_RULE, client_of, is_client_name
from wavecom.core.templates.folder import HEAD, file_of, files_of, is_file_of_template, source_of
from wavecom.core.templates.model import NAME_RULE, TemplateKind, is_template_name
from wavecom.core.templates.sources import read_source, source_json
from wavecom.errors import InvalidRequestError, Problem

Files = Mapping[str, str]

_FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
_NAMES = click.argument("names", nargs=-1, metavar="[TEMPLATE]...")


def _place_options(command: Any) -> Any:
    for option in (
        # Not for the command line, where other users of the machine would see it.
        click.option("--key", envvar="WAVECOM_API_KEY", hidden=True),
        click.option(
            "--client", metavar="NAME", help="Whose templates; NAME:test for its test account. Without a key."
        ),
        click.option("--url", metavar="URL", help="WaveCom's address, for who has a key: in WAVECOM_API_KEY."),
    ):
        command = option(command)
    return command


@click.group("templates", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def templates() -> None:
    """Keep templates as files in git, and bring them into WaveCom.

    Each template has a folder with these files; all but the first may be missing:

    \b
      order-shipped/template.json      kind, defaultLocale, variables
      order-shipped/en/email.html      the HTML of its mail in English
      order-shipped/en/email.txt       its text; left out, one is made of the HTML
      order-shipped/en/email.subject.txt
      order-shipped/en/email.json      what else its payload has, such as replyTo, and its layout
      order-shipped/en/sms.txt         a text message
      order-shipped/en/push.title.txt  push.txt is its body, push.json what else it has
      base/en/part.html, part.txt      of a layout or partial

    \b
    With a key of your own, as in a pipeline; its mode, live or test, says which templates:
      export WAVECOM_API_KEY=…
      wavecom templates diff templates/ --url https://wavecom.example
      wavecom templates push templates/ --url https://wavecom.example --publish

    \b
    For who runs WaveCom, without a key:
      wavecom templates list --client acme
      wavecom templates pull templates/ --client acme:test

    How templates are written: docs/guides/templates.md.

    \b
    Exit code: 0 done, no difference; 1 a difference, something was refused, a server is away; 2 asked for wrongly.
    """


@templates.command("list")
@_place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(client: str | None, url: str | None, key: str | None, as_json: bool) -> None:
    """List templates: which version is sent, and which is the newest."""
    with explaining_errors():
        found = _place(client, url, key).all()
    if as_json:
        for each in found:
            print_json({"name": each.name, "current": each.current, "newest": each.version, "state": each.state})
        return
    table = table_of("template", "kind", "sent", "newest", "state", "locales", whole=frozenset({"template"}))
    for each in found:
        current = "" if each.current is None else str(each.current)
        kind, state = each.kind or "not readable", each.state or "not readable"
        table.add_row(each.name, kind, current, str(each.version), state, ", ".join(each.locales))
    console().print(table)


@templates.command()
@_FOLDER
@_NAMES
@_place_options
@click.option("--publish", is_flag=True, help="Have what was saved sent at once. Layouts and partials come first.")
@click.option("--note", default="", metavar="TEXT", help="What changed, for others: a commit's id, for instance.")
@click.option("--dry-run", is_flag=True, help="Say what would be saved, and save nothing.")
def push(
    folder: Path,
    names: tuple[str, ...],
    client: str | None,
    url: str | None,
    key: str | None,
    publish: bool,
    note: str,
    dry_run: bool,
) -> None:
    """Save what differs in FOLDER as new versions, all templates or those that are named.

    A template whose layout or partials have changed differs too; --dry-run knows of files alone.
    """
    with explaining_errors():
        place = _place(client, url, key)
        kept = {each.name: each for each in place.all()}
        is_refused = False
        for name, files in _in_order(_read(folder, names)):
            source, problems = source_of(files)
            before = kept.get(name)
            is_same = (
                not problems and before is not None and files_of(place.source(before)) == files_of(_as_kept(source))
            )
            is_sent = before is not None and before.current == before.version
            is_done = is_same and (is_sent or not publish)
            if dry_run and not problems:
                would = "as it is" if is_done else f"would be saved{' and published' if publish else ''}"
                click.echo(f"{name}: {would}")
                continue
            # Saved even where the files say the same: a layout or partial that it includes may have changed.
            done = before.version if before is not None and is_done else None
            is_refused |= not _push(place, name, source, problems, files, note=note, publish=publish, done=done)
    if is_refused:
        raise SystemExit(1)


@templates.command()
@_FOLDER
@_NAMES
@_place_options
def pull(folder: Path, names: tuple[str, ...], client: str | None, url: str | None, key: str | None) -> None:
    """Write the newest versions into FOLDER, of all templates or of those that are named.

    Files of a template that its newest version does not have are deleted; those of other templates stay.
    """
    with explaining_errors():
        place = _place(client, url, key)
        found = [(each, files_of(place.source(each))) for each in _named(place.all(), names)]
    for each, files in found:
        home = folder / each.name
        # What comes from elsewhere leads to no other place.
        if not is_template_name(each.name) or not all(map(is_file_of_template, files)):
            raise click.ClickException(f"{each.name}: a name in it is none that files may have.")
        old = {path for path in _files_in(home) if is_file_of_template(path)} if home.is_dir() else set()
        for path in old - set(files):
            (home / path).unlink()
        for path, text in files.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text, encoding="utf-8")
        click.echo(f"{each.name}: version {each.version}")


@templates.command()
@_FOLDER
@_NAMES
@_place_options
def diff(folder: Path, names: tuple[str, ...], client: str | None, url: str | None, key: str | None) -> None:
    """Show what `push` would change: WaveCom's newest versions against FOLDER."""
    with explaining_errors():
        place = _place(client, url, key)
        found = _read(folder, names)
        kept = {each.name: files_of(place.source(each)) for each in place.all() if each.name in found}
    differs = False
    for name, files in sorted(found.items()):
        source, problems = source_of(files)
        new = files if problems else files_of(_as_kept(source))
        old = kept.get(name, {})
        for path in sorted({*old, *new}):
            lines = difflib.unified_diff(
                old.get(path, "").splitlines(),
                new.get(path, "").splitlines(),
                f"wavecom/{name}/{path}",
                f"{folder.name}/{name}/{path}",
                lineterm="",
            )
            for line in lines:
                differs = True
                colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
                click.secho(line, fg=colour)
    if differs:
        raise SystemExit(1)


def _place(client: str | None, url: str | None, key: str | None) -> TemplatePlace:
    if (client is None) == (url is None):
        raise click.UsageError("Say whose templates: --url with a key in WAVECOM_API_KEY, or --client.")
    if url is not None:
        if not key:
            raise click.UsageError("--url needs a key with the scopes read and manage in WAVECOM_API_KEY.")
        return RemoteTemplates(url, key)
    if client is None or not is_client_name(client_of(client)):
        raise click.UsageError(f"--client must be a client's name, or NAME:test; a name has {CLIENT_NAME_RULE}.")
    return StoredTemplates(open_services().templates, client, operator_name())


def _as_kept(source: dict[str, Any]) -> dict[str, Any]:
    """As it comes back: who writes names in another order, or what goes without saying, has changed nothing."""
    read, problems = read_source(source)
    return source if read is None or problems else source_json(read)


def _push(
    place: TemplatePlace,
    name: str,
    source: dict[str, Any],
    problems: list[Problem],
    files: Files,
    *,
    note: str,
    publish: bool,
    done: int | None,
) -> bool:
    """Whether it was taken; what is wrong is told by file. ``done``: the version with which nothing is left to do."""
    for each in problems:
        click.echo(f"{name}/{each.where}: {each.message}", err=True)
    if problems:
        return False
    try:
        version = place.save(name, source, note)
        if version == done:
            click.echo(f"{name}: as it is")
            return True
        if publish:
            place.publish(name, version)
    except InvalidRequestError as error:
        for each in error.problems:
            click.echo(f"{name}/{file_of(each.where, files)}: {each.where} {each.message}", err=True)
        return False
    click.echo(f"{name}: version {version} {'published' if publish else 'saved as a draft'}")
    return True


def _read(folder: Path, names: tuple[str, ...]) -> dict[str, Files]:
    if not folder.is_dir():
        raise click.UsageError(f"There is no folder {folder}.")
    homes = sorted(path for path in folder.iterdir() if (path / HEAD).is_file())
    found: dict[str, Files] = {path.name: _files_in(path) for path in homes if not names or path.name in names}
    missing = [name for name in names if name not in found]
    if missing:
        raise click.UsageError(f"{folder} has no template {missing[0]}: no {missing[0]}/{HEAD}.")
    wrong = next((name for name in found if not is_template_name(name)), None)
    if wrong is not None:
        raise click.UsageError(f"A folder is called {wrong}, and a template must be called by {NAME_RULE}.")
    return found


def _files_in(home: Path) -> dict[str, str]:
    paths = (path for path in home.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(home).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def _in_order(found: Mapping[str, Files]) -> list[tuple[str, Files]]:
    """Partials, then layouts, then what may need them."""
    ranks = {TemplateKind.PARTIAL.value: 0, TemplateKind.LAYOUT.value: 1}
    return sorted(found.items(), key=lambda each: (ranks.get(source_of(each[1])[0].get("kind", ""), 2), each[0]))


def _named(found: list[KeptTemplate], names: tuple[str, ...]) -> list[KeptTemplate]:
    missing = set(names) - {each.name for each in found}
    if missing:
        raise click.UsageError(f"There is no template {min(missing)}.")
    return [each for each in found if not names or each.name in names]
