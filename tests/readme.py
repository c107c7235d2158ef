"""What the commands of README.md and of the handbook print: `python tests/readme.py` runs them and writes it there.

A block of commands is run by bash in a new folder, into which the repository's tests/ and models/ are linked:

- a block `sh`; a block `text` behind it shows what its commands print, the beginning of it where it ends with `...`;
- a block `console`: lines that begin with `$ `, each with what it prints below it, on stdout and stderr.

A block `sh` whose first line is a comment `# takes ...` is run at full size only (`--all` here, NOISEDIAG_FULL=1 in the
tests), one that begins with `# needs ...` is not, for it asks for files or hours that a test has not.

Words behind the script's name pick the blocks whose page or commands hold them; `--all`: the slow ones, too;
`--picture`: the picture of the README instead. Without words, or for `formats`, that table is written anew, too.
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
PAGES = (README, *sorted((ROOT / "noisediag" / "guide").glob("*.md")))
BLOCK = re.compile(
    r"^```sh\n(?P<commands>.*?)^```$(?:\n+```text\n(?P<output>.*?)^```$)?|^```console\n(?P<session>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FORMATS = re.compile(r"(?<=by tests/readme.py -->\n\n)\|.*?(?=\n\n)", re.DOTALL)
FIRST = "pip install . && "
CUT = "..."  # the last line of an output of which the beginning is shown
PROMPT, MORE = "$ ", "> "  # of a session; the second begins further lines of a command
_BETWEEN = "\x1e"


@dataclass(frozen=True)
class Step:
    """Commands and what the page says that they print; None: it does not say."""

    commands: str
    output: str | None


@dataclass(frozen=True)
class Example:
    """A block of a page; `start`, `end`: where that stands which is written anew, the outputs or the session."""

    page: str
    steps: tuple[Step, ...]
    session: bool
    start: int
    end: int

    @property
    def commands(self) -> str:
        """All of them, as they are typed."""
        return "\n".join(step.commands for step in self.steps)

    @property
    def runs(self) -> bool:
        """Neither files nor hours are asked for that nobody has here."""
        return not re.match(r"# needs |pip install|git clone", self.commands)

    @property
    def cheap(self) -> bool:
        """Takes no minutes."""
        return not self.commands.startswith("# takes ")

    @property
    def label(self) -> str:
        """Page and command, in short."""
        words = re.search(r"noisediag ([a-z-]+)(?!.*noisediag [a-z])", self.commands, re.DOTALL)
        return f"{self.page}:{words[1] if words else self.start}"


def examples(page: Path) -> list[Example]:
    """All of a page, in their order."""
    found = []
    for match in BLOCK.finditer(page.read_text("utf-8")):
        if match["session"] is not None:
            steps, where = _steps(match["session"]), "session"
        else:
            steps, where = (Step(match["commands"].removeprefix(FIRST), match["output"]),), "output"
        found.append(Example(page.stem, steps, match["session"] is not None, match.start(where), match.end(where)))
    return found


def run(example: Example, noisediag: str | None = None) -> list[str]:
    """What each step prints, as the page shows it. `noisediag`: the shell function of that name, else new processes.

    Raises RuntimeError where a command of a block `sh` fails.
    """
    tool = f"{shlex.quote(sys.executable)} -m noisediag"
    lines = [noisediag or f'noisediag() {{ {tool} "$@"; }}', "exec 2>&1" if example.session else "set -e"]
    for step in example.steps:
        lines += [step.commands, f"printf '{_BETWEEN}'"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "NO_COLOR": "1"}
    environment.pop("NOISEDIAG_ENGINE", None)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # its python3
    with tempfile.TemporaryDirectory() as folder:
        for place in ("tests", "models"):
            Path(folder, place).symlink_to(ROOT / place)
        done = subprocess.run(
            ["bash", "-c", "\n".join(lines)], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode} of\n{example.commands}\n{done.stdout}{done.stderr}")
    return [_shown(step.output, text) for step, text in zip(example.steps, done.stdout.split(_BETWEEN), strict=False)]


def same(old: str, new: str) -> bool:
    """Equal words; numbers may move with the processor's arithmetic: 5 %, or one where they are whole."""
    try:
        a, b = float(old), float(new)
    except ValueError:
        return old == new
    return abs(a - b) <= max(0.05 * abs(a), 1.0 if old.isdecimal() else 0.0)


def _steps(session: str) -> tuple[Step, ...]:
    steps = []
    for part in re.split(rf"^{re.escape(PROMPT)}", session, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        count = 1
        while count < len(lines) and lines[count].startswith(MORE):
            count += 1
        commands = "\n".join(line.removeprefix(MORE) for line in lines[:count])
        steps.append(Step(commands, "".join(f"{line}\n" for line in lines[count:])))
    return tuple(steps)


def _shown(output: str | None, printed: str) -> str:
    """The part of `printed` that a page shows: as many lines where it is cut."""
    lines = [line.rstrip() for line in printed.splitlines()]
    if output is not None and output.rstrip().endswith(f"\n{CUT}"):
        lines = [*lines[: output.rstrip().count("\n")], CUT]
    text = "\n".join(lines).strip("\n")
    return f"{text}\n" if text else ""


def _written(example: Example, printed: list[str]) -> str:
    """What stands between `start` and `end` once the outputs are `printed`."""
    if not example.session:
        return printed[0]
    commands = (step.commands.replace("\n", f"\n{MORE}") for step in example.steps)
    return "".join(f"{PROMPT}{typed}\n{text}" for typed, text in zip(commands, printed, strict=True))


def main() -> None:
    """Write what the examples print into their pages."""
    import warm

    wanted = [word for word in sys.argv[1:] if not word.startswith("--")]
    if "--picture" in sys.argv:
        import readme_picture

        readme_picture.draw(readme_picture.PICTURE)
        return
    with warm.serving() as folder:
        for page in PAGES:
            text = page.read_text("utf-8")
            for example in reversed(examples(page)):
                shows = any(step.output is not None for step in example.steps)
                if not (shows and example.runs and (example.cheap or "--all" in sys.argv)):
                    continue
                if all(word in f"{example.page}.md {example.commands}" for word in wanted):
                    sys.stderr.write(f"{example.label}\n")
                    printed = run(example, warm.function(folder))
                    text = text[: example.start] + _written(example, printed) + text[example.end :]
            if text != page.read_text("utf-8"):
                page.write_text(text, "utf-8")
    if not wanted or "formats" in wanted:
        from noisediag.reports import formats

        page = ROOT / "noisediag" / "guide" / "formats.md"
        table = formats.markdown().rstrip("\n")
        page.write_text(FORMATS.sub(lambda _: table, page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
