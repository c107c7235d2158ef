"""`noisediag benchmark few-shot`: what few labels on our encoder are worth, beside many from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisediag.cli.benchmark.common import Destination, LimitPerDomain, OfSplit, Seed, Split
from noisediag.cli.common import (
    OUTPUT_PANEL,
    Checkpoint,
    Csv,
    Device,
    Force,
    Json,
    OnDevice,
    Output,
    check_output,
    completing,
    errors_in_words,
)
from noisediag.errors import UsageError

_ARMS = (  # those of the study, which loads torch
    *(f"cop-{count}" for count in (10, 25, 50, 100, 1000)),
    *(f"scratch-{count}" for count in (100, 1000, 10000, 100000)),
    "dominant-100",
    "pure-100",
)


def few_shot(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Clean pictures to judge on, a sub-folder a domain.", show_default=False)
    ],
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="ARM,...",
            help="cop-10, -25, -50, -100, -1000 (labels on the frozen encoder); scratch-100, -1000, -10000, -100000; "
            "kinds of noise from words: dominant-100, pure-100. All unless given; none: those of --formats alone.",
            autocompletion=completing(_ARMS, several=True),
        ),
    ] = None,
    label_sets: Annotated[int, typer.Option(min=1, help="Disjoint sets of labels for each arm but scratch.")] = 10,
    seeds: Annotated[int, typer.Option(min=1, help="Times scratch-100 and scratch-1000 are run; the others once.")] = 3,
    formats: Annotated[
        str,
        typer.Option(
            metavar="FORMAT,...",
            help="Files in which 100 labels are tried, too, pictures and labels alike: png8, jpeg95, rgb8; with png8 "
            "also 16-bit labels on 8-bit pictures. png16: what all other arms are.",
        ),
    ] = "png16,png8,jpeg95,rgb8",
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
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png|.svg|.pdf", help="Draw R2 against the number of labels.", rich_help_panel=OUTPUT_PANEL
        ),
    ] = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Learn the noise genome of the publication from 10 to 1,000 labels on the frozen encoder, and from scratch.

    The encoder is label-free: no label is in its loss. Which noises are steps from one another, and what a picture's
    noise looks like over a chart, is arranged by a simulator that of course knows the strengths. Labels here come
    without units, and are learned as `finetune` learns them; an output that it would leave out counts as the mean of
    its labels. Arms from scratch stay in a journal where the encoder is another of the same size.

    Exit codes: 0 done, 2 usage, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force, plot=plot)
        destination.check()
        _check_journal(journal, force=force, resume=resume)

        from noisediag.benchmark.few_shot import report, result, run
        from noisediag.reports.progress import console_progress

        if journal is not None and force and not resume:
            journal.unlink(missing_ok=True)
        chosen = result.ARMS if arms is None else () if arms == "none" else _names(arms)
        options = result.FewShotOptions(
            data=data,
            arms=(*chosen, *((arm.name for arm in result.VIT_ARMS) if vit else ())),
            label_sets=label_sets,
            seeds=seeds,
            formats=_names(formats),
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


def _check_journal(journal: Path | None, *, force: bool, resume: bool) -> None:
    if journal is not None:
        check_output("--journal", journal, (".jsonl",), force=force or resume)
    elif resume:
        raise UsageError("--resume goes on from a --journal")


def _names(given: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",") if name.strip())
