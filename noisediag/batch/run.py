"""`noisediag batch`: each file of a folder in exactly one row, however often the run ends and is begun again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from noisediag import __version__
from noisediag.batch import keys, parts
from noisediag.batch.journal import RowJournal
from noisediag.batch.parts import Part
from noisediag.batch.pool import SAME, Done, Limits
from noisediag.batch.summary import Summary
from noisediag.batch.walk import Entry, Walk
from noisediag.batch.worker import EstimateOptions
from noisediag.errors import NoisediagError, UsageError
from noisediag.footprint.file import CheckpointId
from noisediag.reports import files, rows, writing
from noisediag.reports.rows import Reply

PART_SUFFIX = ".jsonl"  # of one shard: `merge` makes the other formats


@dataclass(frozen=True)
class BatchOptions:
    """What to measure, how, and where to."""

    walk: Walk
    estimate: EstimateOptions
    limits: Limits
    outputs: tuple[Path, ...]
    resume: bool = False
    force: bool = False
    by_digest: bool = False

    @property
    def journal(self) -> Path:
        """Beside the first output."""
        return journal_of(self.outputs[0])


class Workers(Protocol):
    """What measures the files: a pool of processes here, or a cluster."""

    def start(self) -> tuple[CheckpointId, str]:
        """The checkpoint that is loaded, and on which kind of device."""

    def run(self, paths: Sequence[str], known: Sequence[str] | None = None) -> Iterator[list[Done]]:
        """Rows as they come. `known`: the digest that each had when it was measured, "" for none; None: not looked at.

        Instead of the row of a file that has it still, there is SAME.
        """

    def close(self) -> None:
        """Leave nothing behind."""


class Watcher(Protocol):
    """Who is told how it goes."""

    def begin(self, total: int, done: int) -> None:
        """So many files, of which so many were done before."""

    def same(self, count: int) -> None:
        """So many more turned out to be done before."""

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """These are done now."""


def journal_of(output: Path) -> Path:
    """The journal's path."""
    return output.with_name(f"{output.name}.journal")


def run(options: BatchOptions, workers: Workers, watcher: Watcher) -> Summary:
    """Measure what has not been, and write the outputs.

    Raises UsageError for requests that cannot be carried out, and CheckpointError.
    """
    check(options)
    found = options.walk.find()
    with contextlib.closing(workers):
        checkpoint, device = workers.start()
        with RowJournal(options.journal, _run_of(options, checkpoint, device), resume=options.resume) as journal:
            for output in options.outputs:
                files.remove_parts(output)
            _measure(found.entries, options, journal, workers, checkpoint, watcher)
            replies = journal.replies(entry.path for entry in found.entries)
            part = _part_of(options, checkpoint, device, len(found.entries))
            summary = Summary(skipped=found.skipped)
            with _resumable():
                write(replies, options.outputs, summary, part=part)
    return summary


def check(options: BatchOptions) -> None:
    """Raise UsageError for what could not be written, before any work is done."""
    check_outputs(options.outputs, force=options.force or options.resume)
    journal = options.journal
    if options.walk.shard is not None and [output.suffix for output in options.outputs] != [PART_SUFFIX]:
        raise UsageError("--shard writes one part, -o FILE.jsonl: `noisediag merge` makes the other formats of them")
    if options.resume and options.force:
        raise UsageError("--resume and --force exclude each other")
    if not options.resume and not options.force and journal.exists():
        raise UsageError(f"{journal}: a run was begun here; --resume continues it, --force starts anew")
    if options.resume and not journal.exists():
        for output in options.outputs:
            if output.exists():
                raise UsageError(f"{output}: exists, but not its journal {journal}, so there is nothing to resume")


def check_outputs(outputs: Sequence[Path], *, force: bool) -> None:
    """Raise UsageError for outputs of unknown or the same format, and where they cannot be written."""
    suffixes = [output.suffix for output in outputs]
    for output, suffix in zip(outputs, suffixes, strict=True):
        if suffix not in writing.SUFFIXES:
            raise UsageError(f"--output {output}: the name must end in {' or '.join(writing.SUFFIXES)}")
        writing.require(suffix)
        files.check(output, force=force)
    if len(set(suffixes)) < len(suffixes):
        raise UsageError("--output: one file of each format")


def write(replies: Iterable[Reply], outputs: Sequence[Path], summary: Summary, *, part: Part | None = None) -> None:
    """Write the rows to all outputs at once, each of which appears whole or not at all, and add them to `summary`.

    `part`: they are those of a shard, for `merge`.
    """
    with contextlib.ExitStack() as stack:
        writers = []
        for output in outputs:
            temporary = stack.enter_context(files.replacing(output, force=True))
            with files.refusals(output):
                opened = writing.opened(temporary, output.suffix) if part is None else parts.opened(temporary, part)
                writers.append((output, stack.enter_context(opened)))
        for item in replies:
            summary.add(item["row"])
            for output, add in writers:
                with files.refusals(output):
                    add(item["row"], item["cells"])


def _measure(
    entries: Sequence[Entry],
    options: BatchOptions,
    journal: RowJournal,
    workers: Workers,
    checkpoint: CheckpointId,
    watcher: Watcher,
) -> None:
    todo = [index for index, entry in enumerate(entries) if not keys.unchanged(journal.key(entry.path), entry)]
    watcher.begin(len(entries), len(entries) - len(todo))
    lost = [(entries[index].key, entries[index].failure) for index in todo]
    failed = [(key, rows.encoded(failure, checkpoint)) for key, failure in lost if failure is not None]
    _record(failed, journal, watcher)
    todo = [index for index in todo if entries[index].failure is None]
    paths = [entries[index].path for index in todo]
    known = [journal.key(path) or "" for path in paths]
    for done in workers.run(paths, known) if options.by_digest else workers.run(paths):
        fresh = [item for item in done if item.reply != SAME]
        if len(fresh) < len(done):
            watcher.same(len(done) - len(fresh))
        _record(
            [(_key_of(entries[todo[item.index]], item.reply), _row_of(item.reply)) for item in fresh], journal, watcher
        )
    without = sum(journal.key(entry.path) is None for entry in entries)
    if without:
        raise NoisediagError(f"the workers ended and left {without} files without a row; --resume goes on")


def _key_of(entry: Entry, reply: Reply) -> str:
    """What the row of `entry` is known by: the digest that a worker made, or size and time, of its siblings, too."""
    digest: str | None = reply.get("key")
    return digest or entry.key + str(reply.get("beside", ""))


def _row_of(reply: Reply) -> Reply:
    return {name: part for name, part in reply.items() if name in ("row", "cells")}


def _record(items: Iterable[tuple[str, Reply]], journal: RowJournal, watcher: Watcher) -> None:
    """On the disk first, then counted. A file that may not be read stays due: permissions have no date."""
    kept = [("" if item["row"].get("error", {}).get("code") == "permission" else key, item) for key, item in items]
    if kept:
        with _resumable():
            journal.append(kept)
        watcher.rows([item["row"] for _, item in kept])


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """A full disk costs no row that was counted, and whoever meets it is told."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{error}; what was measured is kept, and --resume goes on from there") from error


def _run_of(options: BatchOptions, checkpoint: CheckpointId, device: str) -> dict[str, Any]:
    """All that must be the same for rows to stand beside each other in one report."""
    shard = options.walk.shard
    return {
        "folder": str(options.walk.folder),
        "shard": None if shard is None else f"{shard.index}/{shard.count}",
        "key": "digest" if options.by_digest else "size and time",
        **_origin(options.estimate, checkpoint, device),
    }


def _origin(estimate: EstimateOptions, checkpoint: CheckpointId, device: str) -> dict[str, Any]:
    return {"noisediag": __version__, **estimate.plain(), "checkpoint": checkpoint.sha256, "device": device}


def _part_of(options: BatchOptions, checkpoint: CheckpointId, device: str, count: int) -> Part | None:
    shard = options.walk.shard
    if shard is None:
        return None
    return Part(shard.index, shard.count, count, _origin(options.estimate, checkpoint, device))


def processors() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
