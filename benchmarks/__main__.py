"""``make bench``: WaveCom and the reference application, measured in the same run; the report goes to docs/reports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from benchmarks.reference.subject import Reference
from wavecom.bench.subject import Subject, WaveCom
from wavecom.commands import bench

CHECKOUT = Path(__file__).resolve().parents[1]

_OWN = click.Option(
    ["--subject", "names"],
    multiple=True,
    type=click.Choice(["wavecom", "reference"]),
    help="Measure only this one; may be given twice. Default: both.",
)


@click.command(
    params=[_OWN, *bench.bench.params],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
def main(names: tuple[str, ...], **asked: Any) -> None:
    """Measure what WaveCom and a plain application of the same stack carry, in the same run.

    As `wavecom bench`, with the reference application under benchmarks/reference beside it. The report of a whole run
    goes to docs/reports, that of a part to var/bench/report.
    """
    subjects: list[Subject] = [WaveCom(bench.own_settings()), Reference()]
    chosen = [subject for subject in subjects if not names or subject.name.lower() in names]
    whole = not (asked["only"] or asked["quick"] or asked["merge"] or names)
    if whole and asked["folder"] is None:
        asked["folder"] = CHECKOUT / "docs" / "reports"
    bench.run_bench(chosen, command=" ".join(["python -m benchmarks", *sys.argv[1:]]), **asked)


if __name__ == "__main__":
    main()
