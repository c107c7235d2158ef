"""`noisediag benchmark few-shot`: what few labels on our encoder are worth, beside many from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisediag.cli.benchmark.common import Destination, LimitPerDomain, OfSplit, Seed, Split
from noisediag.cli.common import (
    Checkpoint,
    Csv,
    Device,
    Force,
    Json,
    OnDevice,
    Output,
    Plot,
    check_output,
    completing,
    errors_in_words,
)
from noisediag.errors import UsageError

_ARMS = (  # those of the study, which loads torch
    *(f"cop-{count}" for count in (10, 25, 50, 100, 1000)),
    *(f"scratch-{count}" for count in (100, 1000, 10000, 100000)),
)


def few_shot(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Clean pictures to judge on, a sub-folder a domain.", show_default=False)
    ],
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="ARM,...",
            help="cop-10, -25, -50, -100, -1000; scratch-100, -1000, -10000, -100000; all unless given.",
            autocompletion=completing(_ARMS, several=True),
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Times each arm is run.")] = 3,
    draws: Annotated[int, typer.Option(min=1, help="Noise draws a picture.")] = 10,
    seed: Seed = 0,
    split: OfSplit = Split.odd,
    limit_per_domain: LimitPerDomain = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Clean pictures to label beside procedural scenes.")
    ] = None,
    vit: Annotated[bool, typer.Option("--vit", help="A ViT-B/16 from scratch, too; on a GPU.")] = False,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Finished arms; states of unfinished ones lie beside it."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --journal.")] = False,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    plot: Plot = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Learn the noise genome of the publication from 10 to 1,000 labels on the frozen encoder, and from scratch.

    Exit codes: 0 done, 2 usage, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force, plot=plot)
        destination.check()
        if journal is not None:
            check_output("--journal", journal, (".jsonl",), force=force or resume)
        elif resume:
            raise UsageError("--resume goes on from a --journal")

        from noisediag.benchmark.few_shot import report, run
        from noisediag.reports.progress import console_progress

        if journal is not None and force and not resume:
            journal.unlink(missing_ok=True)
        chosen = run.ARMS if arms is None else tuple(name.strip() for name in arms.split(","))
        options = run.FewShotOptions(
            data=data,
            arms=(*chosen, *(run.VIT_ARMS if vit else ())),
            seeds=seeds,
            draws=draws,
            seed=seed,
            split=split.value,
            limit_per_domain=limit_per_domain,
            images=images,
            checkpoint=checkpoint,
            device=device.value,
            journal=journal,
        )
        destination.write(report, run.run(options, console_progress))
