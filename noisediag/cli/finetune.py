"""`noisediag finetune`: a head of the user's own from about a hundred labels."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.cli.common import (
    NONE_READABLE,
    OUTPUT_PANEL,
    SOME_FAILED,
    Checkpoint,
    Csv,
    Device,
    Force,
    Json,
    OnDevice,
    check_output,
    check_plot,
    check_style,
    complain,
    errors_in_words,
    panel,
    write_file,
)
from noisediag.cli.gather import measured, print_or_write
from noisediag.cli.routes import Darks, Flats, Pairs, Repeats, Routes
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from noisediag.cop.encoder import Encoder
    from noisediag.estimator import Estimator
    from noisediag.studies.finetune.labelled import Labelled

_OURS = ("encoder", "paper-encoder")  # shipped encoders that --encoder knows by name


class Genome(str, Enum):
    """The noise that is laid over clean pictures."""

    sensor = "sensor"
    paper = "paper"


_labels = panel("Other labels")
Labels = Annotated[
    Path | None,
    _labels(
        metavar="FILE.csv",
        help="A table `path,<name>,...`: any names, any subset; a column of words is a class; `group` says which "
        "pictures belong together. A unit in brackets, as `full_well[e-]` or `share[%]`, is optional: it is kept with "
        "the value, and names of ours are converted to our units.",
    ),
]
Clean = Annotated[Path | None, _labels(metavar="DIR", help="Clean pictures of yours, for synthetic noise.")]
FromMetadata = Annotated[
    list[Path] | None,
    _labels(
        metavar="FILES...|DIR",
        help="DNG files whose NoiseProfile teaches, but never judges: other labels beside it do.",
    ),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|NAME",
        help="Encoder that is read in the place of the model's own, from `pretrain` or by the name of one of ours: "
        "encoder, paper-encoder. Without it the shots choose: the model's own, paper-encoder, or both.",
    ),
]
Curve = Annotated[Path | None, panel(OUTPUT_PANEL)(metavar="FILE.png", help="Draw the learning curve.")]


def finetune(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.safetensors", help="The checkpoint to write.")
    ],
    repeats: Repeats = None,
    flats: Flats = None,
    darks: Darks = None,
    pairs: Pairs = None,
    labels: Labels = None,
    clean: Clean = None,
    genome: Annotated[Genome | None, _labels(help="The noise laid over those of --clean.")] = None,
    from_metadata: FromMetadata = None,
    shots: Annotated[int, typer.Option(min=10, help="Labelled pictures to learn from, at most.")] = 100,
    full: Annotated[bool, typer.Option("--full", help="Tune the encoder, too; takes minutes.")] = False,
    encoder: EncoderOption = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    json: Json = False,
    csv: Csv = False,
    curve: Curve = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Learn to read your own noise from about 100 labelled pictures; the result is a --checkpoint for estimate.

    What each name is read from, and whether it is learned as a number, a logarithm, a fraction or a part of a whole, is
    chosen by evidence on the shots, and printed. Pictures that it did not learn from judge it; a head that is not shown
    to be better is not written.

    Exit codes: 0 written, 1 no better than before, 2 usage, 3 written, but some measurements failed (or not written,
    because a labelled picture cannot be read), 4 all measurements of a route failed, 5 the model is missing or damaged.
    """
    with errors_in_words():
        check_style(json=json, csv=csv)
        routes = Routes(repeats, flats or [], darks or [], pairs or [])
        stated = from_metadata or []
        inputs = [*routes.inputs, *stated, *(path for path in (labels, checkpoint) if path is not None)]
        check_output("--output", output, (".safetensors",), inputs=inputs, force=force)
        check_plot("--curve", curve, inputs=inputs, force=force)
        if (clean is None) != (genome is None):
            raise UsageError("--clean and --genome go together")
        if full and encoder is not None:
            raise UsageError("--full tunes the model's own encoder, so it takes no --encoder")

        from noisediag import engine

        engine.use("torch")
        from noisediag.estimator import Estimator
        from noisediag.reports.progress import console_progress
        from noisediag.studies.finetune import labelled, report, study
        from noisediag.studies.finetune.result import FinetuneOptions
        from noisediag.studies.finetune.shots import WEAK_ALONE

        if stated and not (routes.given or labels or clean):
            raise UsageError(WEAK_ALONE)
        sources, failed = _labelled_files(labels, routes)
        if clean is not None and genome is not None:
            sources.append(labelled.from_clean(clean, genome.value, count=labelled.enough(shots), seed=seed))
        if stated:
            source, unstated = _stated(stated)
            sources.append(source)
            failed += unstated
        estimator = Estimator(checkpoint, device.value)
        options = FinetuneOptions(
            shots=shots, seed=seed, full=full, learning_curve=curve is not None, encoder=_encoder(encoder, estimator)
        )
        made = study.run(sources, options, estimator, console_progress)
        write_file(output, lambda part: study.save(made, sources, estimator, part), force=force)
        write_file(curve, lambda part: report.draw(made.result, part), force=force)
        for verdict in made.result.verdicts:
            if not verdict.better:
                complain(f"warning: {verdict.name}: not shown to be better, left out")
        print_or_write(report, made.result, json=json, csv=csv, output=None, force=force)
        if failed:
            raise typer.Exit(SOME_FAILED)


def _labelled_files(labels: Path | None, routes: Routes) -> tuple[list[Labelled], int]:
    """What the table of labels and the measurements say, and how many measurements failed."""
    from noisediag.labels.csv import read
    from noisediag.studies.finetune import labelled

    sources: list[Labelled] = []
    if labels is not None:
        sources.append(labelled.of_files("labels", labels.name, read(labels)))
    failed = 0
    for name in routes.given:
        source, missed = _measured(routes, name)
        sources.append(source)
        failed += missed
    return sources, failed


def _encoder(given: str | None, estimator: Estimator) -> Encoder | None:
    """The encoder of a file, or of that name if there is no such file."""
    if given is None:
        return None
    from noisediag.cop import checkpoint as store
    from noisediag.cop.models import load_encoder

    path = Path(given)
    if given in _OURS and not path.exists():
        path = store.shipped(given)
    elif not path.is_file():
        raise UsageError(f"--encoder {given}: no such file, and none of ours: {', '.join(_OURS)}")
    return load_encoder(store.read(path)).to(estimator.device)


def _measured(routes: Routes, name: str) -> tuple[Labelled, int]:
    """What one route of measurement gives, and how many of its measurements failed."""
    from noisediag.labels.bursts import ReadOptions
    from noisediag.studies.finetune import labelled

    jobs = {job.path: job for job in routes.jobs(name, ReadOptions())}
    footprints, failed = measured(list(jobs), lambda path: labelled.footprint_of(jobs[path]))
    if not footprints:
        raise typer.Exit(NONE_READABLE)
    darks = [dark for job in jobs.values() for dark in job.darks]
    return labelled.of_measured(name, routes.given[name][0].name, footprints, darks=darks), failed


def _stated(paths: Sequence[Path]) -> tuple[Labelled, int]:
    """What DNG files state of their noise, and how many state nothing."""
    from noisediag.labels import metadata
    from noisediag.studies.finetune import labelled
    from noisediag.studies.measure import dngs

    rows, failed = measured(dngs(paths), metadata.stated)
    if not rows:
        raise typer.Exit(NONE_READABLE)
    return labelled.of_files("from-metadata", paths[0].name, metadata.table(rows)), failed
