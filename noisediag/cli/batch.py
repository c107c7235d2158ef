"""`noisediag batch`: the footprint of every picture of a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noisediag.cli.answers import Lines, Reverse, Sort, Sorted
from noisediag.cli.common import (
    NONE_READABLE,
    OUTPUT_PANEL,
    SOME_FAILED,
    STDOUT,
    Black,
    Channel,
    Checkpoint,
    Dataset,
    DepthIndex,
    Device,
    Force,
    Frame,
    Gain,
    Linear,
    Offset,
    OnDevice,
    Roi,
    Series,
    White,
    agreed,
    area,
    check_numbers,
    complain,
    errors_in_words,
    panel,
    print_80,
)
from noisediag.errors import VOICE, UsageError, tell

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from noisediag.batch.pool import Limits
    from noisediag.batch.run import Workers
    from noisediag.batch.summary import Summary
    from noisediag.batch.walk import Walk
    from noisediag.batch.worker import EstimateOptions

MEMORY_MB = 2000 if sys.platform == "linux" else None


class ClusterKind(str, Enum):
    """Who starts the workers: Dask on this machine, or a queueing system through dask-jobqueue."""

    local = "local"
    slurm = "slurm"
    pbs = "pbs"
    sge = "sge"
    lsf = "lsf"
    htcondor = "htcondor"
    oar = "oar"


_output, _walk, _run = panel(OUTPUT_PANEL), panel("Which files"), panel("How it runs")
Outputs = Annotated[
    list[Path],
    _output("-o", "--output", metavar="FILE", help="A .jsonl, .csv or .parquet file; one of each may be given."),
]
ReportOutputs = Annotated[
    list[Path] | None,
    _output(
        "-o",
        "--output",
        metavar="FILE",
        help="A .jsonl, .csv or .parquet file; one of each may be given; -: JSON lines on stdout. Without it a line a "
        "file is printed, and nothing is written.",
    ),
]
Include = Annotated[list[str] | None, _walk(metavar="GLOB", help="Only such names or paths.")]
Exclude = Annotated[list[str] | None, _walk(metavar="GLOB", help="No such names, paths or folders.")]
Hidden = Annotated[bool, _walk("--hidden", help="Names that begin with a dot, too.")]
ByDigest = Annotated[bool, _walk("--by-digest", help="Know files by content, not by size and time.")]
Scheduler = Annotated[str | None, _run(metavar="ADDRESS", help="Run on this Dask scheduler's workers.")]
ClusterOption = Annotated[ClusterKind | None, _run(help="Start a Dask cluster of --workers workers or jobs.")]
MemoryLimit = Annotated[
    int | None, _run(metavar="MB", min=500, max=10**9, help="Memory that a process may take (Linux, no CUDA).")
]


def batch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="With all its sub-folders.")],
    output: ReportOutputs = None,
    sort: Sorted = None,
    reverse: Reverse = False,
    resume: Annotated[bool, _output("--resume", help="Continue a stopped run, or add new files.")] = False,
    force: Force = False,
    include: Include = None,
    exclude: Exclude = None,
    hidden: Hidden = False,
    shard: Annotated[str | None, _walk(metavar="I/N", help="Part I of N, for a job of its own.")] = None,
    by_digest: ByDigest = False,
    workers: Annotated[int | None, _run(min=1, help="Processes; one a core unless given.")] = None,
    scheduler: Scheduler = None,
    cluster: ClusterOption = None,
    timeout: Annotated[float, _run(help="Seconds that a file may take; inf: any time.")] = 300,
    memory_limit: MemoryLimit = MEMORY_MB,
    black: Black = None,
    white: White = None,
    offset: Offset = None,
    gain: Gain = None,
    channel: Channel = None,
    frame: Frame = None,
    roi: Roi = None,
    series: Series = None,
    z: DepthIndex = None,
    dataset: Dataset = None,
    linear: Linear = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Measure every picture of FOLDER; print a summary.

    With -o into reports; without it a line a file comes before the summary, and nothing is written.

    Exit codes: 0 all done, 2 usage, 3 some files failed, 4 none readable, 5 the model is missing or damaged, 130
    interrupted (--resume continues).
    """
    with errors_in_words("interrupted; the same command with --resume goes on from here"):
        black_dn = agreed("--black", black, "--offset", offset)
        check_numbers(black_dn, white, gain)
        region = None if roi is None else area(roi)
        if not timeout > 0:
            raise UsageError("--timeout: seconds above 0")
        if memory_limit is not None and sys.platform != "linux":
            raise UsageError("--memory-limit works on Linux only")
        if scheduler is not None and cluster is not None:
            raise UsageError("--scheduler and --cluster exclude each other")

        outputs = tuple(output or ())
        viewed = not outputs or STDOUT in outputs
        of_reports = {"--resume": resume, "--force": force, "--by-digest": by_digest}
        _check_kind(outputs, of_reports | {"--shard": shard is not None}, sort, reverse=reverse)

        from noisediag.batch import run as study
        from noisediag.batch import view
        from noisediag.batch.pool import Limits
        from noisediag.batch.walk import Shard, Walk
        from noisediag.batch.worker import EstimateOptions

        ours = () if viewed else (path for one in outputs for path in (one, study.journal_of(one)))
        walk = Walk(
            folder,
            tuple(include or ()),
            tuple(exclude or ()),
            hidden=hidden,
            shard=None if shard is None else Shard.parse(shard),
            leave_out=frozenset(str(path.resolve()) for path in ours),
        )
        estimates = EstimateOptions(
            black=black_dn,
            white=white,
            gain=gain,
            channel=channel,
            frame=frame,
            roi=region,
            linear=linear,
            series=series,
            z=z,
            dataset=dataset,
            checkpoint=None if checkpoint is None else str(checkpoint),
            device=device.value,
        )
        limits = Limits(timeout, memory_limit)
        processes = _workers(estimates, limits, workers, scheduler, None if cluster is None else cluster.value)
        if viewed:
            summary = _view(walk, processes, view.run, jsonl=bool(outputs), by=sort, reverse=reverse)
            finish(summary, on_stderr=bool(outputs))
            return
        options = study.BatchOptions(
            walk=walk,
            estimate=estimates,
            limits=limits,
            outputs=outputs,
            resume=resume,
            force=force,
            by_digest=by_digest,
        )
        with _watched() as watcher:
            summary = study.run(options, processes, watcher)
        finish(summary)


def _check_kind(outputs: Sequence[Path], given: Mapping[str, bool], sort: Sort | None, *, reverse: bool) -> None:
    """Raise UsageError for options that only reports in files have, or only lines on stdout."""
    if reverse and sort is None:
        raise UsageError("--reverse turns the order of --sort about")
    if outputs and STDOUT not in outputs:
        if sort is not None:
            raise UsageError("--sort is for the lines that are printed without -o: reports have the order of the paths")
        return
    if len(outputs) > 1:
        raise UsageError("-o - stands alone")
    if outputs and sort is not None:
        raise UsageError("--sort is for lines, and -o - prints JSON in the order of the paths")
    for name, wanted in given.items():
        if wanted and not (name == "--shard" and not outputs):
            raise UsageError(f"{name} needs a report in a file: -o report.jsonl")


class _View:
    """Rows on stdout, as lines for people or as JSON; a bar steps aside for them."""

    def __init__(self, *, jsonl: bool, by: Sort | None, reverse: bool):
        self.jsonl, self.by, self.reverse = jsonl, by, reverse
        self.lines: Lines | None = None

    def begin(self, paths: list[str]) -> None:
        if not self.jsonl:
            self.lines = Lines(paths, by=self.by, reverse=self.reverse)

    def add(self, row: Mapping[str, Any]) -> None:
        with VOICE.aside():
            if self.lines is not None:
                self.lines.add(row)
            else:
                from noisediag.reports.writing import json_line

                sys.stdout.write(json_line(row).decode())
                sys.stdout.flush()

    def end(self) -> None:
        if self.lines is not None:
            self.lines.end()


def _view(
    walk: Walk,
    workers: Workers,
    run: Callable[..., Summary],
    *,
    jsonl: bool,
    by: Sort | None,
    reverse: bool,
) -> Summary:
    shown = _View(jsonl=jsonl, by=by, reverse=reverse)
    try:
        with _watched() as watcher:
            summary = run(walk, workers, watcher, shown)
    finally:
        shown.end()
    if not jsonl:
        print_80("")
    return summary


def _workers(
    options: EstimateOptions, limits: Limits, count: int | None, scheduler: str | None, kind: str | None
) -> Workers:
    """Processes here, or a cluster's."""
    from noisediag.batch.cluster import Cluster
    from noisediag.batch.pool import Pool
    from noisediag.batch.run import processors

    count = count or processors()
    if scheduler is None and kind is None:
        return Pool(options, limits, count)
    return Cluster(options, limits, scheduler=scheduler, kind=kind, count=count)


def finish(summary: Summary, *, on_stderr: bool = False) -> None:
    """Print the summary and end with its exit code. `on_stderr`: stdout holds something else."""
    from noisediag.batch.summary import render

    if not on_stderr:
        print_80(render(summary))
    else:
        tell(f"{summary.done} files measured, {summary.failed} failed")
    if not summary.done:
        raise typer.Exit(NONE_READABLE)
    if summary.failed:
        raise typer.Exit(SOME_FAILED)


class _Watcher:
    """Errors as lines on stderr, and above all of them a bar with rate and time left where stderr is a terminal."""

    def __init__(self, progress: Progress):
        self.progress = progress
        self.task: TaskID | None = None
        self.before = 0

    def begin(self, total: int, done: int) -> None:
        self.before = done
        self.task = self.progress.add_task("batch", total=total, completed=done, rate="")

    def same(self, count: int) -> None:
        assert self.task is not None
        self.before += count
        self.progress.update(self.task, advance=count)

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            if row["status"] != "ok":
                complain(row["error"]["message"], row["path"])
            else:
                tell(f"{row['domain']}, {len(row['planes'])} planes", row["path"])
        assert self.task is not None
        state = self.progress.tasks[0]
        rate = (state.completed + len(rows) - self.before) / max(state.elapsed or 0.0, 1e-3)
        self.progress.update(self.task, advance=len(rows), rate=f"{rate:.3g}/s")


@contextmanager
def _watched() -> Iterator[_Watcher]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    # What goes to stdout must not be led to stderr, where rich would have it.
    progress = Progress(
        *columns,
        console=console,
        transient=True,
        disable=not VOICE.shows_progress,
        redirect_stdout=False,
        redirect_stderr=False,
    )

    @contextmanager
    def aside() -> Iterator[None]:
        progress.stop()
        try:
            yield
        finally:
            progress.start()

    with progress:
        VOICE.aside = aside if VOICE.shows_progress else nullcontext
        try:
            yield _Watcher(progress)
        finally:
            VOICE.aside = nullcontext
