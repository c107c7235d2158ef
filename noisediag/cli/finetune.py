"""`noisediag finetune`: a head of the user's own from about a hundred labels."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.cli.common import (
    OUTPUT_PANEL,
    Checkpoint,
    Csv,
    Device,
    Force,
    Json,
    OnDevice,
    check_output,
    check_style,
    complain,
    errors_in_words,
    print_80,
)
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from noisediag.studies.labelled import Labelled

_LABELS_PANEL = "Labels (at least one)"


class Genome(str, Enum):
    """The noise that is laid over clean pictures."""

    sensor = "sensor"
    paper = "paper"


def finetune(
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE.safetensors", help="The checkpoint to write."),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="A table `path,<name>[unit],...`: any names, any subset; a column of words is a class; `group` says "
            "which pictures belong together.",
            rich_help_panel=_LABELS_PANEL,
        ),
    ] = None,
    clean: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Clean pictures of yours, for synthetic noise.", rich_help_panel=_LABELS_PANEL
        ),
    ] = None,
    genome: Annotated[
        Genome | None, typer.Option(help="The noise laid over those of --clean.", rich_help_panel=_LABELS_PANEL)
    ] = None,
    shots: Annotated[int, typer.Option(min=10, help="Labelled pictures to learn from, at most.")] = 100,
    full: Annotated[bool, typer.Option("--full", help="Tune the encoder, too; takes minutes.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    json: Json = False,
    csv: Csv = False,
    curve: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the learning curve.", rich_help_panel=OUTPUT_PANEL),
    ] = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Learn to read your own noise from about 100 labelled pictures; the result is a --checkpoint for estimate.

    Pictures that it did not learn from judge it; a head that is not shown to be better is not written.

    Exit codes: 0 written, 1 no better than before, 2 usage, 3 a picture cannot be read, 5 the model is missing or
    damaged.
    """
    with errors_in_words():
        check_style(json=json, csv=csv)
        inputs = [path for path in (labels, checkpoint) if path is not None]
        check_output("--output", output, (".safetensors",), inputs=inputs, force=force)
        if curve is not None:
            check_output("--curve", curve, (".png",), inputs=inputs, force=force)
        if (clean is None) != (genome is None):
            raise UsageError("--clean and --genome go together")

        from noisediag.reports import plots
        from noisediag.reports.files import replacing

        if curve is not None:
            plots.require()

        from noisediag.estimator import Estimator
        from noisediag.studies import finetune as study
        from noisediag.studies import finetune_report as report
        from noisediag.studies.running import console_progress

        sources = _sources(labels, clean, None if genome is None else genome.value, shots, seed)
        estimator = Estimator(checkpoint, device.value)
        options = study.FinetuneOptions(shots=shots, seed=seed, full=full, learning_curve=curve is not None)
        made = study.run(sources, options, estimator, console_progress)
        with replacing(output, force=force) as part:
            study.save(made, sources, estimator, part)
        if curve is not None:
            with replacing(curve, force=force) as part:
                report.draw(made.result, part)
        for verdict in made.result.verdicts:
            if not verdict.better:
                complain(f"warning: {verdict.name}: not shown to be better, left out")
        if json:
            sys.stdout.write(report.dumps(made.result))
        elif csv:
            sys.stdout.write(report.dumps_csv(made.result))
        else:
            print_80(report.render(made.result))


def _sources(labels: Path | None, clean: Path | None, genome: str | None, shots: int, seed: int) -> list[Labelled]:
    """The labels of every route that is asked for."""
    from noisediag.studies import labelled

    files = {"labels": labels}
    found = [labelled.from_table(route, path) for route, path in files.items() if path is not None]
    if clean is not None and genome is not None:
        found.append(labelled.from_clean(clean, genome, count=labelled.enough(shots), seed=seed))
    return found
