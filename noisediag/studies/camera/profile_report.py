"""A noise profile as a table, JSON `noisediag.profile/1`, exiftool commands for DNG, darktable's table, and a plot."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType

from noisediag import __version__
from noisediag.errors import UsageError
from noisediag.footprint.values import LEVEL
from noisediag.images.metadata import noise_profile_group
from noisediag.reports import plots
from noisediag.reports.figures import dumps_json, number_table, plain
from noisediag.reports.table import FLAG_WORDS, digits, interval, number, printable
from noisediag.studies.camera.profile import Colour, Entry, PooledValue, Profile, by_camera

SCHEMA = "noisediag.profile/1"
DARKTABLE_ISOS = 4  # that darktable's format wants of a camera
DARKTABLE_MAKERS = (  # as its table spells them
    *("Canon", "DJI", "Fujifilm", "Hasselblad", "LGE", "Leica", "Minolta", "Nikon", "Olympus", "OM System", "OnePlus"),
    *("Panasonic", "Pentax", "Raspberrypi", "Ricoh", "Samsung", "Sony", "YI TECHNOLOGY"),
)
DARKTABLE_CAVEAT = (
    "darktable's own table is fitted on exported, demosaiced pictures, these values on the raw planes: they are not "
    "interchangeable (darktable's D7000 ISO 100 green `a` is 11 times below that of raw flats)"
)
ASIDE = 1.04  # between the colours of one ISO, so that their intervals do not cover each other
_COLOUR_CODES = {"R": "#c0392b", "G": "#27ae60", "B": "#2471a3"}
_INTERPOLATED = "interpolated"


def render(profile: Profile) -> Group:
    """A table a camera, no wider than 80 columns."""
    parts: list[RenderableType] = []
    for entries in by_camera(profile.entries).values():
        table = number_table(
            f"{printable(entries[0].camera)}: variance = S * signal + O, 90 % intervals of n files",
            *("ISO", "n", "", "S", "interval", "O", "interval", "remark"),
        )
        table.columns[2].justify = table.columns[-1].justify = "left"
        for entry in entries:
            for place, colour in enumerate(entry.colours):
                head = ("", "") if place else (f"{entry.iso:g}", str(len(entry.files) or "-"))
                remarks = dict.fromkeys(_remark(name, value) for name, value in (("S", colour.S), ("O", colour.O)))
                table.add_row(
                    *head, colour.name, *_cells(colour.S), *_cells(colour.O), ", ".join(filter(None, remarks))
                )
        parts.append(table)
    return Group(*parts)


def dumps(profile: Profile) -> str:
    """`noisediag.profile/1` as JSON text."""
    cameras = [
        {"make": make, "model": model, "profiles": [_entry(entry) for entry in entries]}
        for (make, model), entries in by_camera(profile.entries).items()
    ]
    return dumps_json(
        {
            "schema": SCHEMA,
            "noisediag": __version__,
            "checkpoint": plain(profile.checkpoint),
            "level": LEVEL,
            "cameras": cameras,
            "warnings": list(profile.warnings),
        }
    )


def dumps_dng(profile: Profile) -> str:
    """A shell command a DNG: exiftool writes a copy with the pooled NoiseProfile. The RAW itself is never touched.

    Other RAW files, and interpolated settings, get a comment with the option for a DNG made of such a file.
    """
    lines = []
    for entry in profile.entries:
        pairs = " ".join(f"{value:.6g}" for colour in entry.colours for value in (colour.S.value, colour.O.value))
        groups = {path: noise_profile_group(Path(path)) for path in entry.files}
        lines += [_command(path, group, pairs) for path, group in groups.items() if group is not None]
        if not all(groups.values()) or not groups:
            lines.append(f"# {printable(entry.camera)} ISO {entry.iso:g}: '-SubIFD:NoiseProfile={pairs}'")
    return "".join(f"{line}\n" for line in lines)


def dumps_darktable(profile: Profile) -> str:
    """darktable's noiseprofiles.json, version 0: a and b of R, G, B for every camera and ISO.

    Raises UsageError for a camera with fewer than 4 settings or without red, green and blue, which it cannot hold.
    """
    makers: dict[str, list[dict[str, Any]]] = {}
    for entries in by_camera(profile.entries).values():
        if len(entries) < DARKTABLE_ISOS:
            raise UsageError(
                f"darktable wants at least {DARKTABLE_ISOS} ISO settings of a camera, {entries[0].camera} has "
                f"{len(entries)}; --iso adds interpolated ones"
            )
        maker, model = darktable_names(entries[0])
        files = sum(len(entry.files) for entry in entries)
        makers.setdefault(maker, []).append(
            {
                "comment": f"noisediag {__version__}, {files} raw files; not demosaiced",
                "model": model,
                "profiles": [_darktable_entry(entry, model) for entry in entries],
            }
        )
    listed = [{"maker": maker, "models": models} for maker, models in makers.items()]
    return dumps_json({"version": 0, "noiseprofiles": listed})


def darktable_doubts(profile: Profile) -> list[str]:
    """What to know before darktable uses the table."""
    makers = sorted({darktable_names(entry)[0] for entry in profile.entries} - set(DARKTABLE_MAKERS))
    return [DARKTABLE_CAVEAT, *(f"darktable's own table has no maker {maker!r}" for maker in makers)]


def darktable_names(entry: Entry) -> tuple[str, str]:
    """Maker and model as darktable writes them: its own spelling, the maker not repeated in the model."""
    given = re.sub(r"[^a-zA-Z ]", " ", entry.make).strip()
    known = [maker for maker in DARKTABLE_MAKERS if given.lower().startswith(maker.lower())]
    if given.lower().startswith("lg "):
        known = ["LGE"]
    maker = known[0] if known else given
    model = re.sub(r"[^a-zA-Z0-9_\- ()*]", " ", entry.model)
    if model.lower().startswith(f"{maker.lower()} "):
        model = model[len(maker) + 1 :]
    return maker, " ".join(model.split())[:30].strip()


def plot(profile: Profile, path: Path) -> None:
    """S and O against ISO, log-log, with 90 % intervals. Raises UsageError without matplotlib."""
    plots.require()
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(9, 4.8), dpi=150, layout="constrained")
    for place, (name, title) in enumerate((("S", "S, 1/e-"), ("O", "O, variance without light"))):
        axes = figure.add_subplot(1, 2, place + 1, xscale="log", yscale="log")
        for entries in by_camera(profile.entries).values():
            _draw(axes, entries, name)
        isos = sorted({entry.iso for entry in profile.entries})
        axes.set_xticks(isos, labels=[f"{iso:g}" for iso in isos])
        axes.xaxis.minorticks_off()
        axes.set_xlabel("ISO")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axes.yaxis.set_major_formatter("{x:.0e}")
        axes.yaxis.minorticks_off()
        axes.set_title(title)
        axes.grid(visible=True, linewidth=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    plots.save(figure, path)


def _draw(axes: Any, entries: list[Entry], name: str) -> None:
    shown = {colour.name for entry in entries for colour in entry.colours}
    for place, colour in enumerate(sorted(shown, key="RGB".find)):
        beside = ASIDE ** (place - (len(shown) - 1) / 2)
        points = [(entry, getattr(one, name)) for entry in entries for one in entry.colours if one.name == colour]
        points = [(entry, value) for entry, value in points if value.value > 0]
        iso, value = [entry.iso * beside for entry, _ in points], [value.value for _, value in points]
        bounds = [[v.value - max(v.low, 1e-3 * v.value) for _, v in points], [v.high - v.value for _, v in points]]
        style: dict[str, Any] = {"color": _COLOUR_CODES.get(colour), "label": f"{entries[0].camera} {colour}"}
        line = axes.errorbar(iso, value, yerr=bounds, capsize=3, linewidth=1, marker="o", markersize=3, **style)
        hollow = [(entry.iso * beside, value.value) for entry, value in points if not entry.files]
        if hollow:  # interpolated
            axes.plot(*zip(*hollow, strict=True), "o", color="white", markeredgecolor=line[0].get_color(), zorder=3)


def _remark(name: str, value: PooledValue) -> str:
    if value.flag is None or value.flag == _INTERPOLATED:
        return value.flag or ""
    return f"{name} {FLAG_WORDS[value.flag]}"


def _cells(value: PooledValue) -> tuple[str, str]:
    significant = digits(value.value, value.low, value.high)
    return number(value.value, significant), interval(value.low, value.high, 2)


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "iso": entry.iso,
        "files": list(entry.files),
        "interpolated": not entry.files,
        "colours": [_colour(colour) for colour in entry.colours],
        "dng_noise_profile": [[plain(colour.S.value), plain(colour.O.value)] for colour in entry.colours],
    }


def _colour(colour: Colour) -> dict[str, Any]:
    units: Mapping[str, str] = {"S": "1/e-", "O": "normalised variance"}
    return {
        "name": colour.name,
        **{name: {**plain(getattr(colour, name)), "unit": unit, "symbol": name} for name, unit in units.items()},
    }


def _command(path: str, group: str | None, pairs: str) -> str:
    copy = Path(path).with_suffix(".profiled.dng")
    words = ("exiftool", f"-{group}:NoiseProfile={pairs}", "-o", str(copy), path)
    return " ".join(shlex.quote(word) for word in words)


def _darktable_entry(entry: Entry, model: str) -> dict[str, Any]:
    found = {colour.name: colour for colour in entry.colours}
    if set(found) != set("RGB"):
        raise UsageError(
            f"{entry.camera} ISO {entry.iso:g}: darktable wants red, green and blue, not {', '.join(found)}"
        )
    return {
        "name": f"{model} iso {entry.iso:.0f}",
        "iso": round(entry.iso),
        "a": [plain(found[name].S.value) for name in "RGB"],
        "b": [plain(found[name].O.value) for name in "RGB"],
    }
