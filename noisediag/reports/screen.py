"""What `estimate` prints of one file: a summary, the curve, the noises found, what follows. It fits one screen.

The same number never stands there twice, and none without its unit; `reports.table` has the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from noisediag.errors import printable
from noisediag.footprint.derived import Derived
from noisediag.footprint.file import Footprint
from noisediag.footprint.plane import PRESENT, Estimate, PlaneFootprint, SampledCurve, counts_as_found
from noisediag.genome.parameters import NAMES
from noisediag.reports import summary, table, terminal_plot
from noisediag.reports.numbers import by_interval, number

NARROWEST, WIDEST = 40, 100  # columns: longer lines are hard to read
ROOMY = 72  # columns from which headings are whole words
MOST_DOUBTS = 4
MOST_PLANES = 4
MORE = "More numbers: --details. The words: noisediag guide reading-the-table."


def render(footprint: Footprint, width: int = 80) -> Group:
    """At most 40 lines where `width` is 80 columns or more."""
    width = max(NARROWEST, min(width, WIDEST))
    plane = footprint.planes[-1]
    parts: list[RenderableType] = [table.title(footprint), Text(), Text(summary.sentence(footprint), style="bold")]
    parts += [_item(words) for words in _cut(summary.doubts(footprint), MOST_DOUBTS)]
    if not plane.says_nothing:
        plot = terminal_plot.draw(plane, width)
        whose = "" if plane.label == "all" else f"{printable(plane.label)}: "
        if plot is not None:
            parts += [Text(f"\n{whose}{terminal_plot.heading(plane)}"), plot]
        parts += [Text(), *_noises(footprint, width)]
        follows = list(_follows(footprint))
        if follows:
            parts += [Text("\nwhat follows", style="bold"), *map(_item, follows)]
    return Group(*parts, Text(f"\n{MORE}", style="dim"))


def _noises(footprint: Footprint, width: int) -> Iterator[RenderableType]:
    """A row for each noise that was found or differs between planes; a line each for those not found and not known."""
    plane, measured = footprint.planes[-1], footprint.measured
    shown = [e for e in plane.parameters if _is_row(e)]
    rows = Table(box=None, padding=(0, 1 if width < ROOMY else 2, 0, 0), pad_edge=False, header_style="bold")
    for heading in ("noise found", "value", "90 % interval", "unit", "probability" if width >= ROOMY else "prob."):
        left = heading in ("noise found", "unit")
        rows.add_column(heading, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for estimate in shown:
        factor, unit = unit_of(estimate, plane, footprint)
        value, bounds = shown_values(estimate, factor)
        sure = "" if estimate.present is None else f"{100 * estimate.present:.0f} %"
        value = "differs" if estimate.flag == "planes_differ" else value
        rows.add_row(_name(estimate), value, bounds, unit, sure)
    if shown:
        yield rows
    if measured is not None:
        yield Text(_measured(measured, plane, footprint))
    absent = [e for e in plane.parameters if not _is_row(e) and _is_absent(e)]
    unknown = [e for e in plane.parameters if not _is_row(e) and not _is_absent(e)]
    if absent:
        limits = ", ".join(_limit(e, plane, footprint) for e in absent)
        yield Text(f"not found (probability below {100 * PRESENT:.0f} %): {limits}")
    if unknown:
        processed = all(e.flag == "rendered" for e in unknown)
        words = "not defined after processing" if processed else "cannot be told here"
        yield Text(f"{words}: {', '.join(map(_name, unknown))}")


def shown_values(estimate: Estimate, factor: float) -> tuple[str, str]:
    """Value and interval of a row, times `factor`."""
    if estimate.word is not None:
        return printable(estimate.word), ""
    low, high = (None if end is None else end * factor for end in (estimate.low, estimate.high))
    if estimate.value is None:
        middle = math.nan if low is None or high is None else (low + high) / 2
        return "-", "" if math.isnan(middle) else by_interval(middle, low, high)[1]
    if low is not None and low == high:  # a gain that was given
        return f"{estimate.value * factor:.4g}", "given"
    return by_interval(estimate.value * factor, low, high)


def unit_of(estimate: Estimate, plane: PlaneFootprint, footprint: Footprint) -> tuple[float, str]:
    """What to multiply a parameter by, and the unit that it then has: DN where the file has one scale."""
    if estimate.name not in NAMES:
        return 1.0, printable(estimate.unit)
    if estimate.unit == "fraction":
        return 100.0, "%"
    if estimate.unit == "px":
        return 1.0, "px"
    span = plane.span_dn
    if estimate.name == "shot_gain":
        electrons = footprint.domain != "rendered" and footprint.derived.K.value is not None
        if span is None:
            return 1.0, "1/e-"
        return span, "DN/e-" if electrons else "DN"
    return (1.0, "of white") if span is None else (span, "DN")


def _is_row(estimate: Estimate) -> bool:
    if estimate.flag == "planes_differ":
        return estimate.present is None or estimate.present >= PRESENT
    return counts_as_found(estimate.value, estimate.present) or estimate.word is not None


def _is_absent(estimate: Estimate) -> bool:
    return estimate.flag in ("below_floor", "planes_differ") or (estimate.value is not None and not _is_row(estimate))


def _limit(estimate: Estimate, plane: PlaneFootprint, footprint: Footprint) -> str:
    """A noise that was not found, with the limit of detection."""
    name = _name(estimate)
    factor, unit = unit_of(estimate, plane, footprint)
    if estimate.name == "quantisation" and (estimate.value is not None or estimate.flag == "planes_differ"):
        return f"{name} beyond the codes' step"
    if estimate.high is None:
        return name
    return f"{name} < {number(estimate.high * factor, 2)} {unit}"


def _measured(measured: Footprint, plane: PlaneFootprint, footprint: Footprint) -> str:
    """What the frames of the same stack show by their differences, beside what the model reads of each."""
    said = []
    for estimate in plane.parameters:
        other = next((e for e in measured.planes[-1].parameters if e.name == estimate.name), None)
        if other is None or other.value is None or estimate.name == "quantisation":
            continue
        factor, unit = unit_of(other, measured.planes[-1], footprint)
        value, bounds = shown_values(other, factor)
        said.append(f"{_name(other)} {value}{f' ({bounds})' if bounds else ''} {unit}")
    frames = 0 if measured.measurement is None else measured.measurement.frames_used
    return f"measured from {frames} frames: {', '.join(said) or 'none of them'}"


def _follows(footprint: Footprint) -> Iterator[str]:
    """What the numbers above mean for what comes next; none of them again."""
    derived, plane = footprint.derived, footprint.planes[-1]
    electrons = "" if footprint["shot_gain"].flag == "weakly_identified" else _electrons(derived)
    if electrons:
        yield electrons
    reference, name = summary.reference(plane, rendered=footprint.rendered is not None)
    low, high = summary.bounds_at(plane, reference)
    sigma = plane.law.sigma(reference)
    if plane.offset_known and sigma > 0 and reference > 0 and footprint.structure.noise_found:
        snr = 20 * math.log10(reference / sigma)
        ends = [None if not end else 20 * math.log10(reference / end) for end in (high, low)]
        line = f"SNR {by_interval(snr, *ends)[0]} dB {name}"
        frames = table.frames_to_average(snr)
        if frames > 1 and not isinstance(plane.law, SampledCurve):
            line += f": the mean of {frames} frames has {table.TARGET_SNR_DB:.0f} dB"
            line += ", if no pixel gain is fixed" if counts_as_found(*_presence(plane["multiplicative"])) else ""
        yield line
    yield from _planes(footprint)
    if footprint.measurement is None and footprint.structure.noise_found:
        yield _denoising(footprint)
    if footprint.rendered is not None and footprint.rendered.jpeg_quality is not None:
        own = "" if footprint.rendered.jpeg_standard else ", about: a camera's own tables"
        yield f"JPEG quality {footprint.rendered.jpeg_quality}{own}"


def _presence(estimate: Estimate) -> tuple[float | None, float | None]:
    return estimate.value, estimate.present


def _planes(footprint: Footprint) -> Iterator[str]:
    """Sigma of each plane, or from the quietest to the loudest of many."""
    others = [plane for plane in table.others(footprint) if plane.span_dn is not None and not plane.says_nothing]
    if len(others) < 2:
        return
    if len(others) <= MOST_PLANES and all(plane.frame is None for plane in others):
        if len({_median_sigma(p) for p in others}) == 1:
            yield f"sigma of each of the planes at its own median signal: {_median_sigma(others[0])} DN"
            return
        each = ", ".join(f"{printable(p.label)} {_median_sigma(p)}" for p in others)
        yield f"sigma of the planes, each at its own median signal: {each} DN"
        return
    sigmas = sorted((p.law.sigma(p.signal_median) * (p.span_dn or 1.0), _median_sigma(p)) for p in others)
    what = "frames" if all(plane.frame is not None for plane in others) else "planes"
    low, high = sigmas[0][1], sigmas[-1][1]
    yield f"sigma of the {len(others)} {what}, each at its own median signal: {low} to {high} DN"


def _electrons(derived: Derived) -> str:
    parts = []
    read, gain = derived.sigma_d, derived.K
    if read.value is not None:
        value, bounds = by_interval(read.value, read.low, read.high)
        parts.append(f"read noise {value}{f' ({bounds})' if bounds else ''} e-")
    full = derived.electrons_at_white
    if full is not None and gain.value is not None:
        ends = [None if not end else full * gain.value / end for end in (gain.high, gain.low)]
        parts.append(f"{by_interval(full, *ends)[0]} e- at white")
    if derived.dynamic_range_stops is not None and read.value is not None:
        stops = derived.dynamic_range_stops
        ends = [None if not end else stops - math.log2(end / read.value) for end in (read.high, read.low)]
        parts.append(f"{by_interval(stops, *ends)[0]} stops of dynamic range")
    return ", ".join(parts)


def _median_sigma(plane: PlaneFootprint) -> str:
    span = plane.span_dn or 1.0
    sigma = plane.law.sigma(plane.signal_median) * span
    low, high = summary.bounds_at(plane, plane.signal_median)
    return by_interval(sigma, *(None if end is None else end * span for end in (low, high)))[0]


def _denoising(footprint: Footprint) -> str:
    """What Noise2Void and its kind make of it, without the shares, which the summary has."""
    structure = footprint.structure
    shares = {
        "row": structure.row_share,
        "column": structure.column_share,
        "shared": structure.correlated_share,
        "wave": structure.periodic_share,
    }
    if structure.pixel_independent is None:
        unknown = " and ".join(name for name, value in shares.items() if value is None)
        return f"whether noise is independent from pixel to pixel is not known ({unknown} noise is not seen)"
    if structure.pixel_independent:
        return "the noise is independent from pixel to pixel, as Noise2Void and its kind assume"
    found = " and ".join(name for name, value in shares.items() if value)
    return f"Noise2Void and its kind would take the {found} noise for picture"


def _name(estimate: Estimate) -> str:
    return printable(estimate.name.replace("_", " "))


def _item(words: str) -> Padding:
    return Padding(Text(printable(words)), (0, 0, 0, 2))


def _cut(lines: Sequence[str], most: int) -> list[str]:
    kept = list(lines[:most])
    return kept if len(lines) <= most else [*kept, f"and {len(lines) - most} more: --details"]
