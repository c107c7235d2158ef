"""The handbook: pages of Markdown that stand beside this file and travel with the package, and how one is found."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

from noisediag.errors import UsageError

# The pages by what they are for, in the order in which they are listed; every .md file here is one of them.
PAGES: dict[str, tuple[str, ...]] = {
    "To begin": ("install", "reading-the-table", "many-files", "formats", "pictures", "python"),
    "What you want to know": (
        *("denoiser", "self-supervised", "microscopist", "multiphoton", "raw-developer", "camera-engineer"),
        *("astrophotographer", "dataset-curator", "low-light", "satellite-and-medical", "video"),
    ),
    "More than one picture": ("batch", "measured-noise", "own-labels"),
    "How far to trust it": ("noise-model", "processed-pictures", "accuracy", "benchmark", "limits"),
    "To look up": ("glossary", "json-and-csv", "exit-codes", "troubleshooting", "development"),
}
NAMES = tuple(name for names in PAGES.values() for name in names)
_NEAR = 3  # pages that are named where none has the name that was asked for
_FENCE = "```"
_OUTPUT = f"{_FENCE}text"


@dataclass(frozen=True)
class Passage:
    """A paragraph, an item, a row of a table or a block of code, with the page and the heading it stands under."""

    page: str
    heading: str
    text: str


def read(topic: str) -> str:
    """The Markdown of the page called `topic`. Raises UsageError, which names the near ones, where there is none."""
    name = _spelt(topic)
    if name not in NAMES:
        raise UsageError(f"no page is called '{topic}'; {_advice(topic)}")
    return resources.files(__name__).joinpath(f"{name}.md").read_text("utf-8")


def title(name: str) -> str:
    """The line that the page `name` has in a list of pages: its heading, or what stands behind a colon in it."""
    return read(name).partition("\n")[0].removeprefix("# ").rpartition(": ")[2]


def near(topic: str) -> tuple[str, ...]:
    """Names of pages that may be meant by `topic`: those spelt like it, then those that speak of it most."""
    spelt = difflib.get_close_matches(_spelt(topic), NAMES, n=_NEAR, cutoff=0.6)
    spoken = Counter(passage.page for passage in search([topic]))
    return tuple(dict.fromkeys([*spelt, *(name for name, _ in spoken.most_common())]))[:_NEAR]


def search(words: Sequence[str], page: str | None = None) -> tuple[Passage, ...]:
    """The passages, of one `page` or all, that hold all of `words`, those first whose headings do.

    Some of the words may stand in the heading instead; what commands print is not looked at. Neither capitals nor the
    kind of gap matter: `read noise` finds `read_noise`. Raises UsageError for an unknown page.
    """
    wanted = [_plain(word) for word in words]
    names = NAMES if page is None else (_spelt(page),)
    found = [
        passage
        for name in names
        for passage in _passages(name)
        if all(word in _plain(f"{passage.heading} {passage.text}") for word in wanted)
        and any(word in _plain(passage.text) for word in wanted)
    ]
    return tuple(sorted(found, key=lambda passage: -sum(word in _plain(passage.heading) for word in wanted)))


def words_like(word: str) -> list[str]:
    """Words of the handbook that are spelt nearly as `word`."""
    vocabulary = {found for name in NAMES for found in re.findall(r"[a-z0-9_]{3,}", read(name).lower())}
    return difflib.get_close_matches(word.lower(), sorted(vocabulary), n=_NEAR)


def _advice(topic: str) -> str:
    names = near(topic)
    return f"near: {', '.join(names)}" if names else "`noisediag guide` lists them"


def _spelt(topic: str) -> str:
    return re.sub(r"[\s_]+", "-", topic.strip().lower().removesuffix(".md"))


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text.lower())


def _passages(name: str) -> Iterator[Passage]:
    heading = ""
    for block in _blocks(read(name).splitlines()):
        if block[0].startswith("#"):
            heading = block[0].lstrip("# ")
        if not block[0].startswith(_OUTPUT):
            yield Passage(name, heading, "\n".join(block))


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """Runs of lines that belong together: what stands between blank lines, but a row or an item alone, code whole."""
    block: list[str] = []
    code = False
    for line in lines:
        starts = not code and (not line.strip() or line.startswith(("#", "|", "- ", _FENCE)))
        if starts and block:
            yield block
            block = []
        if line.startswith(_FENCE):
            code = not code
        if code or line.strip():
            block.append(line)
    if block:
        yield block
