"""`noisediag benchmark traps`: how often an answer is confidently wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisediag.cli.benchmark.common import Destination, LimitPerDomain, OfSplit, Seed, Split, Workers
from noisediag.cli.common import OUTPUT_PANEL, Checkpoint, Csv, Device, Force, Json, OnDevice, Output, errors_in_words
from noisediag.errors import UsageError

Photographs = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Photographs, a sub-folder a domain; procedural scenes unless given."),
]
Kinds = Annotated[str | None, typer.Option(metavar="KIND,...", help="Only these kinds; a wrong name lists all.")]
Keep = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Keep the trap files there.", rich_help_panel=OUTPUT_PANEL)
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="List each answer that is not right, and why.", rich_help_panel=OUTPUT_PANEL),
]


def traps(
    data: Photographs = None,
    kinds: Kinds = None,
    per_kind: Annotated[int, typer.Option(min=1, help="Files of each kind.")] = 4,
    seed: Seed = 0,
    split: OfSplit = Split.odd,
    limit_per_domain: LimitPerDomain = None,
    workers: Workers = 1,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    keep: Keep = None,
    verbose: Verbose = False,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Make ordinary files outside of the noise model, and count the answers that are right, honest and wrong.

    Wrong is an answer that does not hold and does not say so. Controls are calm files, which no answer may doubt.

    Exit codes: 0 done, 2 usage, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force)
        destination.check()
        _check_keep(keep, force=force)

        from noisediag.benchmark.traps import report, run
        from noisediag.benchmark.traps.result import TrapOptions
        from noisediag.reports.progress import console_progress

        options = TrapOptions(
            kinds=() if kinds is None else tuple(name.strip() for name in kinds.split(",")),
            per_kind=per_kind,
            seed=seed,
            data=data,
            split=split.value,
            limit_per_domain=limit_per_domain,
            workers=workers,
            keep=keep,
            verbose=verbose,
            checkpoint=checkpoint,
            device=device.value,
        )
        destination.write(report, run.run(options, progress=console_progress))


def _check_keep(folder: Path | None, *, force: bool) -> None:
    """Raise UsageError where files of the folder could be overwritten."""
    if folder is None or not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"--keep {folder}: is no folder")
    if any(folder.iterdir()) and not force:
        raise UsageError(f"--keep {folder}: is not empty; --force overwrites the files in it")
