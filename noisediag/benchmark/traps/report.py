"""The table, JSON and CSV of `noisediag benchmark traps`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from noisediag.benchmark.traps.result import SCHEMA, TrapAnswer, TrapResult, TrapRow
from noisediag.reports import figures
from noisediag.reports.figures import number_table, percent
from noisediag.reports.table import printable


def render(result: TrapResult) -> Group:
    """A row a kind, then the totals in percent; no wider than 80 columns."""
    options = result.options
    scenes = "procedural scenes" if options.data is None else f"pictures of {printable(str(options.data))}"
    lines = [f"traps, {scenes}, seed {options.seed}"]
    if result.checkpoint is not None:
        lines.append(f"checkpoint {result.checkpoint.name} ({result.checkpoint.sha256[:12]})")
    parts: list[RenderableType] = [Text("\n".join(lines))]
    table = number_table("", "kind", "n", "right", "honest", "wrong")
    for row in result.rows:
        name = f"{row.kind} (control)" if row.control else row.kind
        table.add_row(name, str(row.n), str(row.right), str(row.honest), str(row.wrong))
    parts.append(table)
    shares = number_table("", "", "n", "right %", "honest %", "wrong %")
    for row in result.totals:
        verdicts = (percent(row.share("right")), percent(row.share("honest")), percent(row.share("wrong")))
        shares.add_row(row.kind, str(row.n), *verdicts)
    parts.append(shares)
    if options.verbose:
        parts.append(Text("\n".join(["", *(line for answer in result.answers for line in _why(answer))])))
    return Group(*parts)


def dumps(result: TrapResult) -> str:
    """The result as JSON text."""
    return figures.dumps_json(figures.document(SCHEMA, result))


def dumps_csv(result: TrapResult) -> str:
    """The rows and totals as CSV."""
    return figures.dumps_rows(TrapRow, (*result.rows, *result.totals))


def _why(answer: TrapAnswer) -> Iterator[str]:
    """An answer that is not right, with its reasons; nothing for one that is."""
    judgement = answer.judgement
    if judgement.verdict == "right":
        return
    yield f"{judgement.verdict} {answer.file}"
    for words, reasons in (("wrong", judgement.wrong), ("withheld", judgement.withheld), ("said", judgement.said)):
        yield from (f"  {words}: {printable(reason)}" for reason in reasons)
