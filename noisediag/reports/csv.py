"""The report as CSV: one row a file and plane, units in the column names, an empty cell for what is unknown."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from noisediag import __version__
from noisediag.footprint.derived import arrange, derive
from noisediag.footprint.file import CheckpointId, Footprint, Rendered
from noisediag.footprint.plane import Estimate, PlaneFootprint
from noisediag.footprint.values import Quantity
from noisediag.genome.parameters import NAMES, PARAMETERS, Parameter
from noisediag.reports import Failure, Outcome, bounds
from noisediag.reports.document import path_fields as json_path
from noisediag.reports.document import plain, plane_dict
from noisediag.reports.document import tags as document_tags
from noisediag.reports.document import warnings as document_warnings

_UNITS = {"1/e-": "per_e", "normalised": "norm", "fraction": "fraction", "px": "px"}
_ACQUISITION = {"Make": "Make", "Model": "Model", "ISO": "ISO", "ExposureTime": "ExposureTime_s", "FNumber": "FNumber"}
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - full-width signs start formulas too


def value_columns(parameter: Parameter) -> list[str]:
    """The columns of one parameter: value and interval first."""
    base = f"{parameter.name}_{_UNITS[parameter.unit]}"
    columns = [base, f"{base}_low", f"{base}_high"]
    if parameter.scales_with_dn:
        base = f"{parameter.name}_dn_{_UNITS[parameter.unit]}" if parameter.unit == "1/e-" else f"{parameter.name}_dn"
        columns += [base, f"{base}_low", f"{base}_high"]
    return [*columns, f"{parameter.name}_present", f"{parameter.name}_flag"]


COLUMNS: tuple[str, ...] = (
    *("path", "status", "error_code", "error_message", "sha256", "reader", "domain"),
    *("plane", "channel", "frame", "height_px", "width_px", "bit_depth", "black_dn", "white_dn", "scale_source"),
    *("signal_median_norm", "sigma_effective_norm", "sigma_effective_dn"),
    *("sigma_at_18pct_norm", "snr_at_18pct_db", "sigma_at_median_norm", "snr_at_median_db"),
    *(column for parameter in PARAMETERS for column in value_columns(parameter)),
    *("gain_e_per_dn", "gain_e_per_dn_low", "gain_e_per_dn_high"),
    *("read_noise_e", "read_noise_e_low", "read_noise_e_high"),
    *("electrons_at_white", "dynamic_range_stops"),
    *("row_share", "column_share", "lag1_h", "lag1_v"),
    *("plane_flags", "flags", "warnings"),
    *_ACQUISITION.values(),
    *("noisediag_version", "checkpoint_name", "checkpoint_sha256"),
    "DateTimeOriginal",
    *("correlated_share", "periodic_share", "pixel_independent"),
    *("equivalent_blur_px", "sigma_area2_norm", "sigma_area4_norm", "sigma_area8_norm"),
    *("jpeg_quality", "block_strength", "processed", "denoised", "upscaled", "resaved"),
    "how",
    "own_parameters",  # of a head of the user's own, as JSON
    *("law", "law_probability", "saturation_level_dn", "saturation_scatter_dn", "saturation_share"),
    *("black_fitted_dn", "missing_share", "noise_correlated_share", "uneven_low", "uneven_high"),
    *("hot_pixels_share", "hot_pixels_mean_dn", "hot_pixels_median_dn"),
)
TEXT_COLUMNS = frozenset(
    (
        *("path", "status", "error_code", "error_message", "sha256", "reader", "domain"),
        *("plane", "channel", "scale_source", "plane_flags", "flags", "warnings", "Make", "Model"),
        *(f"{parameter.name}_flag" for parameter in PARAMETERS),
        *(
            "noisediag_version",
            "checkpoint_name",
            "checkpoint_sha256",
            "DateTimeOriginal",
            "how",
            "own_parameters",
            "law",
        ),
    )
)
WHOLE_COLUMNS = frozenset(
    ("frame", "height_px", "width_px", "bit_depth", "pixel_independent", "jpeg_quality", "resaved")
)  # the others are numbers with a point

Cell = str | int | float | None
_COLUMN_SET = frozenset(COLUMNS)
_WHOLE_CELLS = frozenset(("path", "own_parameters"))  # which mean nothing when they are cut
_NO_TAGS = _COLUMN_SET - {*_ACQUISITION.values(), "DateTimeOriginal"}
# Tags whose columns carry a unit; the last two are what users add to a report of theirs.
_TAG_NAMES = {"ExposureTime_s": "ExposureTime", "FocalLength_mm": "FocalLength", "Temperature_C": "Temperature"}


def header() -> str:
    """The line of column names."""
    return ",".join(COLUMNS) + "\n"


def cells(outcome: Outcome, checkpoint: CheckpointId | None) -> list[list[Cell]]:
    """The values of one input, in the order of COLUMNS, without NaN and infinity, texts as a table may hold them.

    One list a plane, the file's own footprint last; a single one for an input that failed.
    """
    made_by = {
        "noisediag_version": __version__,
        "checkpoint_name": None if checkpoint is None else checkpoint.name,
        "checkpoint_sha256": None if checkpoint is None else checkpoint.sha256,
    }
    if isinstance(outcome, Failure):
        words = bounds.message(outcome.message, outcome.path)
        error = {"status": "error", "error_code": outcome.code, "error_message": words}
        return [_row({"path": json_path(outcome.path)["path"], **error, **made_by})]
    common = {**_file_cells(outcome), **made_by}
    return [_row({**common, **_plane_cells(plane, outcome)}) for plane in outcome.planes]


def lines(rows: Iterable[Sequence[Cell]]) -> str:
    """What `cells` gives, as lines of the report."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([_shown(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def rows(outcome: Outcome, checkpoint: CheckpointId | None) -> str:
    """The lines of one input."""
    return lines(cells(outcome, checkpoint))


def dumps(outcomes: Iterable[Outcome], checkpoint: CheckpointId | None) -> str:
    """The whole report, header first."""
    return header() + "".join(rows(outcome, checkpoint) for outcome in outcomes)


def safe_text(value: str) -> str:
    """`value` as a spreadsheet may open it: what would start a formula gets an apostrophe in front (OWASP's list).

    >>> safe_text("=1+1"), safe_text("photo.dng")
    ("'=1+1", 'photo.dng')
    """
    text = value.replace("\r", "\\r").replace("\0", "\\0")  # unquoted by the csv module; the end to many readers
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(("\t", "\n")) else text


def plain_text(cell: str) -> str:
    """The inverse of `safe_text`, but for line ends.

    >>> plain_text("'=1+1"), plain_text("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and safe_text(cell[1:]) == cell else cell


def typed(cells: Mapping[str, str]) -> dict[str, Cell]:
    """A line of the report as values: an empty cell is None, and so is a tag that should be a number and is none.

    >>> typed({"path": "a.dng", "width_px": "640", "ISO": "400", "FNumber": "", "FocalLength_mm": "35"})
    {'path': 'a.dng', 'width_px': 640, 'ISO': 400.0, 'FNumber': None, 'FocalLength_mm': '35'}
    """
    return {column: _value(column, text) for column, text in cells.items()}


def native(column: str, cell: Cell) -> Cell:
    """`cell`, one of `cells`, in the type of its column; None where it is none of that, as an ISO that is a word.

    >>> native("ISO", 400), native("ISO", "auto"), native("Model", 5), native("width_px", 640)
    (400.0, None, '5', 640)
    """
    if cell is None:
        return None
    if isinstance(cell, str) or column in TEXT_COLUMNS:
        return _value(column, _shown(cell))
    return int(cell) if column in WHOLE_COLUMNS else float(cell)


def tags_of(cells: Mapping[str, Any]) -> dict[str, Any]:
    """The acquisition tags among the values of a line, by ExifTool's names; columns that are not ours are tags, too."""
    return {
        _TAG_NAMES.get(column, column): plain_text(value) if isinstance(value, str) else value
        for column, value in cells.items()
        if column not in _NO_TAGS
    }


def _value(column: str, text: str) -> Cell:
    if column in TEXT_COLUMNS or column not in _COLUMN_SET:
        return text or None
    try:
        if column in WHOLE_COLUMNS:
            return int(text)
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _file_cells(footprint: Footprint) -> dict[str, Any]:
    tags = document_tags(footprint)
    return {
        "path": json_path(footprint.path)["path"],
        "status": "ok",
        "sha256": footprint.sha256,
        "reader": footprint.reader,
        "domain": footprint.domain,
        "flags": ";".join(footprint.flags),
        "warnings": "; ".join(document_warnings(footprint)),
        **{column: tags.get(tag) for tag, column in _ACQUISITION.items()},
        "DateTimeOriginal": tags.get("DateTimeOriginal"),
        **(_processing_cells(footprint.rendered) if footprint.rendered is not None else {}),
        "how": "estimated" if footprint.measurement is None else "measured",
        **({} if footprint.uneven is None else dict(zip(("uneven_low", "uneven_high"), footprint.uneven, strict=True))),
    }


def _processing_cells(rendered: Rendered) -> dict[str, Any]:
    return {
        "jpeg_quality": rendered.jpeg_quality,
        "block_strength": rendered.block_strength,
        "processed": rendered.processed,
        "denoised": rendered.denoised,
        "upscaled": rendered.upscaled,
        "resaved": None if rendered.resaved is None else int(rendered.resaved),
    }


def _plane_cells(plane: PlaneFootprint, footprint: Footprint) -> dict[str, Any]:
    derived, structure = derive(plane, domain=footprint.domain), arrange(plane)
    scale = plane.span_dn
    cells = {
        "plane": plane.name,
        "channel": plane.channel,
        "frame": plane.frame,
        "height_px": plane.shape[0],
        "width_px": plane.shape[1],
        "bit_depth": plane.bit_depth,
        "black_dn": plane.black_dn,
        "white_dn": plane.white_dn,
        "scale_source": plane.scale_source,
        "signal_median_norm": plane.signal_median,
        "sigma_effective_norm": plane.effective_sigma,
        "sigma_effective_dn": None if scale is None else plane.effective_sigma * scale,
        "sigma_at_18pct_norm": derived.sigma_at_18pct,
        "snr_at_18pct_db": derived.snr_db_at_18pct,
        "sigma_at_median_norm": derived.sigma_at_median,
        "snr_at_median_db": derived.snr_db_at_median,
        **_interval("gain_e_per_dn", derived.conversion_gain),
        **_interval("read_noise_e", derived.sigma_d),
        "electrons_at_white": derived.electrons_at_white,
        "dynamic_range_stops": derived.dynamic_range_stops,
        "row_share": structure.row_share,
        "column_share": structure.column_share,
        "lag1_h": structure.lag1_h,
        "lag1_v": structure.lag1_v,
        "correlated_share": structure.correlated_share,
        "periodic_share": structure.periodic_share,
        "pixel_independent": None if structure.pixel_independent is None else int(structure.pixel_independent),
        "plane_flags": ";".join(plane.flags),
        "own_parameters": _own_parameters(plane),
        **_evidence_cells(plane),
    }
    rendered = footprint.rendered.planes if footprint.rendered is not None else ()
    for spatial in (spatial for spatial in rendered if spatial.name == plane.name):
        two, four, eight = spatial.sigma_after_area
        cells |= {"lag1_h": spatial.lag1_h, "lag1_v": spatial.lag1_v, "equivalent_blur_px": spatial.equivalent_blur_px}
        cells |= {"sigma_area2_norm": two, "sigma_area4_norm": four, "sigma_area8_norm": eight}
    for parameter in PARAMETERS:
        cells |= _parameter_cells(parameter, plane[parameter.name])
    return cells


def _evidence_cells(plane: PlaneFootprint) -> dict[str, Any]:
    """What the pixels say of the law, the levels and the parts of the noise."""
    light, ceiling, hot = plane.light, plane.saturation, plane.hot_pixels
    return {
        "law": None if light is None else light.name,
        "law_probability": None if light is None else light.probability,
        "saturation_level_dn": None if ceiling is None else ceiling.level_dn,
        "saturation_scatter_dn": None if ceiling is None else ceiling.scatter_dn,
        "saturation_share": None if ceiling is None else ceiling.share,
        "black_fitted_dn": None if plane.black is None else plane.black.fitted_dn,
        "missing_share": plane.missing_share,
        "noise_correlated_share": plane.correlated_share,
        "hot_pixels_share": None if hot is None else hot.share,
        "hot_pixels_mean_dn": None if hot is None else hot.mean_excess_dn,
        "hot_pixels_median_dn": None if hot is None else hot.median_excess_dn,
    }


def _own_parameters(plane: PlaneFootprint) -> str | None:
    """The parameters that are not ours, as the JSON report has them."""
    if all(estimate.name in NAMES for estimate in plane.parameters):
        return None
    own = [p for p in plane_dict(plane)["parameters"] if p["name"] not in NAMES]
    return json.dumps(own, ensure_ascii=False)


def _parameter_cells(parameter: Parameter, estimate: Estimate) -> dict[str, Any]:
    values: list[Any] = [estimate.value, estimate.low, estimate.high]
    if parameter.scales_with_dn:
        values += [estimate.value_dn, estimate.low_dn, estimate.high_dn]
    return dict(zip(value_columns(parameter), [*values, estimate.present, estimate.flag], strict=True))


def _interval(name: str, quantity: Quantity) -> dict[str, float | None]:
    return {name: quantity.value, f"{name}_low": quantity.low, f"{name}_high": quantity.high}


def _row(values: Mapping[str, Any]) -> list[Cell]:
    if unknown := values.keys() - _COLUMN_SET:
        raise ValueError(f"no columns: {sorted(unknown)}")
    return [_cell(column, values.get(column)) for column in COLUMNS]


def _cell(column: str, value: Any) -> Cell:
    simple = plain(value)
    if simple is None or simple == "":
        return None
    if isinstance(simple, int | float) and not isinstance(simple, bool):
        return simple
    limit = None if column in _WHOLE_CELLS else bounds.CELL_CHARACTERS
    return safe_text(bounds.text(value if isinstance(value, str) else str(simple), limit))


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)
