"""What the README's commands print: `python tests/readme.py` runs them and writes it into README.md.

A block of commands (sh) that an output block (text) follows is run by bash in a new folder, into which the repository's
tests/ and models/ are linked. Words behind the script's name pick the examples whose commands hold them.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAIR = re.compile(r"^```sh\n(?P<commands>[^`]*?)^```\n\n```text\n(?P<output>.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST = "pip install . && "
CUT = "...\n"  # the last line of an output of which the beginning is shown


@dataclass(frozen=True)
class Example:
    """Commands and what the README says that the last of them prints; `start`, `end`: where that stands."""

    commands: str
    output: str
    start: int
    end: int

    @property
    def cheap(self) -> bool:
        """Needs no file but those of the repository."""
        return "tests/data" in self.commands


def examples(text: str) -> list[Example]:
    """All of them, in their order."""
    return [
        Example(m["commands"].removeprefix(FIRST), m["output"], m.start("output"), m.end("output"))
        for m in PAIR.finditer(text)
    ]


def run(example: Example) -> str:
    """What it prints, as the README shows it. Raises CalledProcessError where a command fails."""
    tool = f"{shlex.quote(sys.executable)} -m noisediag"
    script = f'set -e\nnoisediag() {{ {tool} "$@"; }}\n{example.commands}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    with tempfile.TemporaryDirectory() as folder:
        for place in ("tests", "models"):
            Path(folder, place).symlink_to(ROOT / place)
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, example.commands, done.stdout, done.stderr)
    return done.stdout


def shown(example: Example, printed: str) -> str:
    """The part of `printed` that the README shows: as many lines where it is cut."""
    lines = [line.rstrip() for line in printed.splitlines()]
    if example.output.endswith(CUT):
        lines = [*lines[: example.output.count("\n") - 1], CUT.rstrip()]
    return "\n".join(lines).strip("\n") + "\n"


def main() -> None:
    """Write what the examples print into the README."""
    wanted = sys.argv[1:]
    text = README.read_text("utf-8")
    for example in reversed(examples(text)):
        if all(word in example.commands for word in wanted):
            text = text[: example.start] + shown(example, run(example)) + text[example.end :]
    README.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
