"""`noisediag benchmark`: how far off we are, beside classical estimators on the same files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from noisediag.cli.common import (
    NONE_READABLE,
    OUTPUT_PANEL,
    REPORT_SUFFIXES,
    SOME_FAILED,
    Checkpoint,
    Csv,
    Device,
    Force,
    Json,
    OnDevice,
    Output,
    check_output,
    check_style,
    errors_in_words,
    print_80,
)
from noisediag.errors import UsageError


class Genome(str, Enum):
    """Which noise model is scored."""

    sensor = "sensor"
    paper = "paper"
    rendered = "rendered"


class Split(str, Enum):
    """Which files of each domain are used."""

    odd = "odd"
    even = "even"
    all = "all"


_REPORT = frozenset({"json", "csv", "output", "force", "checkpoint"})
_TAKEN = {  # by what runs instead of the sets; everything else is refused rather than ignored
    "limit": _REPORT | {"limit", "draws", "seed", "baselines", "workers", "device"},
    "real": _REPORT | {"real", "baselines", "workers", "device"},
    "speed": _REPORT | {"speed", "seed"},
    "cost": _REPORT | {"cost", "seed", "plot"},
    "few-shot": _REPORT
    | {"few_shot", "data", "genome", "draws", "seed", "split", "limit_per_domain", "device"}
    | {"arms", "seeds", "images", "journal", "resume", "vit", "plot"},
    "genome rendered": _REPORT
    | {"genome", "data", "draws", "seed", "split", "limit_per_domain", "baselines", "workers", "sheet", "device"},
}
_INSTEAD_PANEL = "Instead of the sets"
_FEW_SHOT_PANEL = "Few shots"
_FEW_SHOT_ONLY = ("arms", "seeds", "images", "journal", "resume", "vit", "plot")
SET_DRAWS = 10


def benchmark(
    ctx: typer.Context,
    genome: Annotated[Genome, typer.Option(help="The noise model that is scored.")] = Genome.sensor,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Clean pictures, a sub-folder a domain; else scenes.")
    ] = None,
    sets: Annotated[
        str, typer.Option(metavar="SET,...", help="gaussian, poisson-gauss, mixture, clean, flat, raw.")
    ] = "gaussian,poisson-gauss,mixture,clean,flat",
    draws: Annotated[
        int | None,
        typer.Option(help="Noise draws a picture: 10 unless given; --limit: 200; rendered: 1.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same cases.")] = 0,
    split: Annotated[
        Split, typer.Option(help="Files used: choices are made on even ones, figures on odd.")
    ] = Split.odd,
    limit_per_domain: Annotated[int | None, typer.Option(help="At most so many pictures a domain.")] = None,
    baselines: Annotated[bool, typer.Option(help="Classical estimators in the same run.")] = True,
    randomised: Annotated[bool, typer.Option(help="Our model with its encoder re-drawn, too.")] = True,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    limit: Annotated[
        bool,
        typer.Option(
            "--limit", help="Flat fields against the physical (Cramer-Rao) limit.", rich_help_panel=_INSTEAD_PANEL
        ),
    ] = False,
    real: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Real files whose measured noise DIR/truth.json states. A set, named by its folder, has `levels` of "
            "flat frames (mean_dn, temporal_var, fixed_pattern_var), `files` or Bayer positions `per_plane` with a and "
            "b (variance = a*signal + b), `sigma_dn` (at_mean), or pairs *_real and *_mean of processed pictures with "
            "`std_by_level`; all in DN. See the README.",
            rich_help_panel=_INSTEAD_PANEL,
        ),
    ] = None,
    speed: Annotated[
        bool,
        typer.Option(
            "--speed", help="CPU time on one thread, 256 x 256 and 24 megapixels.", rich_help_panel=_INSTEAD_PANEL
        ),
    ] = False,
    cost: Annotated[
        bool,
        typer.Option("--cost", help="CPU time by pixels and by files; see --plot.", rich_help_panel=_INSTEAD_PANEL),
    ] = False,
    few_shot: Annotated[
        bool,
        typer.Option(
            "--few-shot",
            help="What 10 to 1,000 labels on our encoder are worth, beside many labels from scratch; genome paper.",
            rich_help_panel=_INSTEAD_PANEL,
        ),
    ] = False,
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="ARM,...",
            help="Of --few-shot: cop-10, -25, -50, -100, -1000; scratch-100, -1000, -10000, -100000; all unless given.",
            rich_help_panel=_FEW_SHOT_PANEL,
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Of --few-shot: times each arm is run.", rich_help_panel=_FEW_SHOT_PANEL)
    ] = 3,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Of --few-shot: clean pictures to label beside procedural scenes.",
            rich_help_panel=_FEW_SHOT_PANEL,
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Of --few-shot: finished arms; states of unfinished ones lie beside it.",
            rich_help_panel=_FEW_SHOT_PANEL,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from --journal.", rich_help_panel=_FEW_SHOT_PANEL)
    ] = False,
    vit: Annotated[
        bool,
        typer.Option("--vit", help="A ViT-B/16 from scratch, too; on a GPU.", rich_help_panel=_FEW_SHOT_PANEL),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the result of --few-shot or --cost.", rich_help_panel=OUTPUT_PANEL),
    ] = None,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="The ten worst pictures, clean and noisy.", rich_help_panel=OUTPUT_PANEL),
    ] = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Score the model on pictures with noise of known size.

    Exit codes: 0 all done, 2 usage, 3 some files failed, 4 none readable, 5 the model is missing or damaged.
    """
    with errors_in_words():
        check_style(json=json, csv=csv)
        photographs = genome is Genome.rendered
        instead = {"limit": limit, "real": real is not None, "speed": speed, "cost": cost, "few-shot": few_shot}
        _check_alone(ctx, {**instead, "genome rendered": photographs})
        if not few_shot:
            _check_few_shot_only(ctx, cost=cost)
        if output is not None:
            check_output("--output", output, REPORT_SUFFIXES, force=force)
        if sheet is not None:
            check_output("--sheet", sheet, (".png",), force=force)
        if plot is not None:
            from noisediag.reports import plots

            check_output("--plot", plot, (".png",), force=force)
            plots.require()
        if journal is not None:
            check_output("--journal", journal, (".jsonl",), force=force or resume)
        elif resume:
            raise UsageError("--resume goes on from a --journal")

        from noisediag.reports.files import replacing

        scored = (baselines, workers, checkpoint, device.value)
        failed = 0
        if limit:
            report, result = _run_limit(draws, seed, *scored)
        elif real is not None:
            report, result = _run_real(real, *scored)
            failed = NONE_READABLE if result.failed == result.files else SOME_FAILED if result.failed else 0
        elif speed:
            report, result = _run_speed(seed, checkpoint)
        elif cost:
            report, result = _run_cost(seed, checkpoint)
        elif few_shot:
            if journal is not None and force and not resume:
                journal.unlink(missing_ok=True)
            report, result = _run_few_shot(
                vit=vit,
                arms=arms,
                data=data,
                seeds=seeds,
                draws=SET_DRAWS if draws is None else draws,
                seed=seed,
                split=split.value,
                limit_per_domain=limit_per_domain,
                images=images,
                checkpoint=checkpoint,
                device=device.value,
                journal=journal,
            )
        elif photographs:
            report, result = _run_rendered(
                data=data,
                draws=draws,
                seed=seed,
                split=split.value,
                limit_per_domain=limit_per_domain,
                baselines=baselines,
                workers=workers,
                checkpoint=checkpoint,
                device=device.value,
            )
        else:
            report, result = _run_sets(
                genome=genome.value,
                data=data,
                sets=tuple(name.strip() for name in sets.split(",")),
                draws=SET_DRAWS if draws is None else draws,
                seed=seed,
                split=split.value,
                limit_per_domain=limit_per_domain,
                baselines=baselines,
                randomised=randomised,
                workers=workers,
                checkpoint=checkpoint,
                device=device.value,
            )
        if json:
            sys.stdout.write(report.dumps(result))
        elif csv:
            sys.stdout.write(report.dumps_csv(result))
        else:
            print_80(report.render(result))
        if output is not None:
            with replacing(output, force=force) as part:
                text = report.dumps(result) if output.suffix == ".json" else report.dumps_csv(result)
                part.write_text(text, encoding="utf-8")
        if plot is not None:
            with replacing(plot, force=force) as part:
                report.draw(result, part)
        if sheet is not None:
            from noisediag.benchmark.sheet import write

            with replacing(sheet, force=force) as part:
                write(result, part)
        if failed:
            raise typer.Exit(failed)


def _check_alone(ctx: typer.Context, chosen: Mapping[str, bool]) -> None:
    """Raise UsageError for two studies at once, and for options that the chosen one would ignore."""
    names = [name for name, wanted in chosen.items() if wanted]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(f'--{name}' for name in names)} exclude each other")
    for name in names:
        for other in ctx.params:
            source = ctx.get_parameter_source(other)
            if other not in _TAKEN[name] and source is not None and source.name == "COMMANDLINE":
                raise UsageError(f"--{name} does not take --{other.replace('_', '-')}")


def _check_few_shot_only(ctx: typer.Context, *, cost: bool) -> None:
    for name in _FEW_SHOT_ONLY:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and not (cost and name == "plot"):
            raise UsageError(f"--{name} is an option of --few-shot" + (" and --cost" if name == "plot" else ""))


# Each gives the module that renders a result, and the result.


def _run_limit(
    draws: int | None, seed: int, baselines: bool, workers: int, checkpoint: Path | None, device: str
) -> tuple[Any, Any]:
    from noisediag.benchmark import limit
    from noisediag.reports.progress import console_progress

    options = limit.LimitOptions(
        draws=limit.DRAWS if draws is None else draws,
        seed=seed,
        baselines=baselines,
        workers=workers,
        checkpoint=checkpoint,
        device=device,
    )
    return limit, limit.run(options, progress=console_progress)


def _run_real(folder: Path, baselines: bool, workers: int, checkpoint: Path | None, device: str) -> tuple[Any, Any]:
    from noisediag.benchmark.real import run as real
    from noisediag.reports.progress import console_progress

    options = real.RealOptions(folder, baselines, workers, checkpoint, device)
    return real, real.run(options, progress=console_progress)


def _run_speed(seed: int, checkpoint: Path | None) -> tuple[Any, Any]:
    from noisediag.benchmark import speed
    from noisediag.reports.progress import console_progress

    return speed, speed.run(speed.SpeedOptions(seed=seed, checkpoint=checkpoint), progress=console_progress)


def _run_cost(seed: int, checkpoint: Path | None) -> tuple[Any, Any]:
    from noisediag.benchmark import cost
    from noisediag.reports.progress import console_progress

    return cost, cost.run(cost.CostOptions(seed=seed, checkpoint=checkpoint), progress=console_progress)


def _run_few_shot(*, arms: str | None, vit: bool, data: Path | None, **options: Any) -> tuple[Any, Any]:
    from noisediag.benchmark.few_shot import report as few_shot_report
    from noisediag.benchmark.few_shot import run as few_shot
    from noisediag.reports.progress import console_progress

    if data is None:
        raise UsageError("--few-shot needs --data DIR: clean pictures, one sub-folder a domain")
    chosen = few_shot.ARMS if arms is None else tuple(name.strip() for name in arms.split(","))
    chosen = (*chosen, *(few_shot.VIT_ARMS if vit else ()))
    return few_shot_report, few_shot.run(few_shot.FewShotOptions(data=data, arms=chosen, **options), console_progress)


def _run_rendered(*, draws: int | None, **options: Any) -> tuple[Any, Any]:
    from noisediag.benchmark.rendered import run as study
    from noisediag.reports.progress import console_progress

    chosen = study.RenderedOptions(draws=study.DRAWS if draws is None else draws, **options)
    return study, study.run(chosen, progress=console_progress)


def _run_sets(**options: Any) -> tuple[Any, Any]:
    from noisediag.benchmark.sets import report as benchmark_report
    from noisediag.benchmark.sets import run as study
    from noisediag.benchmark.sets.result import BenchmarkOptions
    from noisediag.reports.progress import console_progress

    return benchmark_report, study.run(BenchmarkOptions(**options), progress=console_progress)
