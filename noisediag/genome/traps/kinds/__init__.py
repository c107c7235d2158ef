"""The kinds of traps, in the order of the tables."""

from __future__ import annotations

from noisediag.genome.traps.kinds import controls, light, raw, rendered, science, stacks
from noisediag.genome.traps.kinds.registry import REGISTERED
from noisediag.genome.traps.kinds.registry import Kind as Kind

_ROOMS = (raw, science, light, rendered, stacks, controls)

KINDS = {name: kind for room in _ROOMS for name, kind in REGISTERED.items() if kind.make.__module__ == room.__name__}
