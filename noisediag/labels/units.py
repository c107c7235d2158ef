"""Which units a column of labels may be in: a misspelt one would travel into every report made with the head."""

from __future__ import annotations

import difflib
import re

_PREFIXED = frozenset(
    (
        *("m", "g", "s", "A", "K", "mol", "cd", "Hz", "N", "Pa", "J", "W", "C", "V", "F", "Ohm", "ohm", "S", "Wb"),
        *("T", "H", "lm", "lx", "Bq", "Gy", "Sv", "eV", "L", "l", "M", "bar", "rad", "sr", "B", "cal", "Wh", "Ah", "R"),
        *("px", "Da", "Å", "pc", "yr", "Jy", "t", "Vp", "VA", "Torr", "Ω"),
    )
)
_PREFIXES = ("", *"afpnuµμmcdhkMGTP", "da")
_PLAIN = frozenset(
    (
        # what sensors count
        *("DN", "ADU", "LSB", "e-", "e", "electron", "electrons", "photon", "photons", "ph", "count", "counts", "cts"),
        *("px", "pixel", "pixels", "sample", "samples", "frame", "frames", "fps", "line", "lines", "bit", "bits"),
        *("dot", "dots", "dpi", "ppi", "event", "events", "hit", "hits", "shot", "shots", "ISO", "EV", "stop", "stops"),
        *("step", "steps", "level", "levels", "code", "codes", "HU", "SUV", "mag", "diopter", "D", "f"),
        # shares and logarithms
        *("1", "%", "‰", "ppm", "ppb", "ppt", "norm", "normalised", "normalized", "fraction", "ratio", "pH", "OD"),
        *("dB", "dBm", "dBc", "dBFS", "dec", "decade", "decades", "oct", "octave", "octaves", "rms", "AU", "a.u."),
        *("arb", "sigma"),
        # time, angle, temperature, length
        *("second", "seconds", "min", "minute", "minutes", "h", "hr", "hour", "hours", "d", "day", "days", "wk"),
        *("week", "weeks", "month", "months", "year", "years", "deg", "°", "arcmin", "arcsec", "mas", "turn", "rpm"),
        *("RPM", "rev", "°C", "degC", "°F", "degF", "in", "inch", "ft", "mil", "mile", "micron", "microns"),
        *("angstrom", "AA", "ly", "au", "nmi"),
        # others
        *("psi", "atm", "mmHg", "oz", "lb", "kVp", "mAs", "G", "gauss", "Oe", "rem", "rad", "Ci", "fc", "nit", "nits"),
        *("cpd", "lp", "cycle", "cycles", "cy", "pulse", "pulses", "photoelectron", "photoelectrons", "byte", "bytes"),
        *("cell", "cells", "slice", "slices", "IU"),
    )
)
_ROOT = re.compile(r"√|sqrt\((?P<inside>[^()]*)\)|rt\b")
_EXPONENT = re.compile(r"\^?(?P<sign>[+\-−]?)(?P<number>[0-9]+(?:\.[0-9]+)?|[⁰¹²³⁴-⁹⁻]+)$")  # noqa: RUF001
_SHOWN = ("DN", "e-", "DN/e-", "e-/px/s", "%", "dB", "px", "um", "ms", "degC", "mW")


def is_known(unit: str) -> bool:
    """Whether every part of `unit` is one that is in use: SI and its prefixes, counts of sensors, shares, logarithms.

    Parts are joined by `*`, `·`, `.`, a blank or `/`, and may have exponents; brackets group them.

    >>> [is_known(one) for one in ("e-/px/s", "um^2", "mJ cm-2", "DN/sqrt(Hz)", "°C", "")]
    [True, True, True, True, True, True]
    >>> is_known("bananas"), is_known("DN/banana"), is_known("/s/")
    (False, False, False)
    """
    text = unit.strip()
    if not text or text in _PLAIN:
        return True
    text = (
        _ROOT.sub(lambda found: f" {found['inside'] or ''} ", text.replace("**", "^"))
        .replace("(", " ")
        .replace(")", " ")
    )
    parts = [part.strip() for part in text.split("/")]
    if any(not part for part in parts[1:]):
        return False
    words = [word for part in parts for word in re.split(r"[\s*·⋅×]+", part) if word]  # noqa: RUF001
    return bool(words) and all(_is_word(word) for word in words)


def nearest(unit: str) -> str:
    """What to name in a message: units that look alike, else some that are common here."""
    known = sorted({*_PLAIN, *_PREFIXED, *_SHOWN})
    alike = difflib.get_close_matches(unit, known, n=3, cutoff=0.7)
    return ", ".join(alike or _SHOWN)


def _is_word(word: str) -> bool:
    if _is_atom(word):
        return True
    bare = _EXPONENT.sub("", word)
    if bare and bare != word and _is_atom(bare):
        return True
    return "." in word and all(part and _is_word(part) for part in word.split("."))


def _is_atom(word: str) -> bool:
    if word in _PLAIN:
        return True
    return any(word.startswith(prefix) and word[len(prefix) :] in _PREFIXED for prefix in _PREFIXES)
