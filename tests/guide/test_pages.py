"""README.md and the handbook: their commands print what is shown, links hold, the words of reports are explained."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from noisediag import guide
from noisediag.cli import app
from noisediag.footprint.plane import FLAGS, LIGHT_LAWS
from noisediag.genome.parameters import PARAMETERS
from noisediag.reports import formats
from noisediag.reports.table import FLAG_WORDS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "noisediag" / "guide"


def script(name: str) -> ModuleType:
    """A file of tests/ that is a command, too."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


warm, readme = script("warm"), script("readme")
PAGES: tuple[Path, ...] = readme.PAGES
TEXTS = {page: page.read_text("utf-8") for page in PAGES}
EXAMPLES = [example for page in PAGES for example in readme.examples(page)]
README = TEXTS[readme.README]
HANDBOOK = "\n".join(text for page, text in TEXTS.items() if page != readme.README)


@pytest.fixture(scope="module")
def noisediag() -> Iterator[str]:
    """A shell function of that name."""
    if sys.platform == "win32":
        pytest.skip("the commands are those of bash")
    with warm.serving() as folder:
        yield warm.function(folder)


class TestCommands:
    @pytest.mark.acceptance
    @pytest.mark.parametrize("example", [e for e in EXAMPLES if e.runs], ids=lambda example: example.label)
    def test_print_what_is_shown(self, example: Any, noisediag: str, sized: Callable[[bool, bool], bool]) -> None:
        if not example.cheap and sized(True, False):
            pytest.skip("takes minutes, as the page says: NOISEDIAG_FULL=1 runs it")
        printed = readme.run(example, noisediag)
        for step, text in zip(example.steps, printed, strict=True):
            if step.output is None:
                continue
            old, new = step.output.split(), text.split()
            assert len(old) == len(new), text
            for one, other in zip(old, new, strict=True):
                assert readme.same(one, other), (one, other)

    def test_that_are_not_run_say_so_on_the_page(self) -> None:
        for example in EXAMPLES:
            first = example.commands.partition("\n")[0]
            assert example.runs or first.startswith(("# needs ", "pip install -e ")), example.label
            assert example.cheap or re.match(r"# takes .+ (minutes?|hours?)$", first), example.label

    def test_stand_in_blocks_that_are_looked_at(self) -> None:
        for page, text in TEXTS.items():
            assert not re.search(r"^ {4}noisediag ", text, flags=re.MULTILINE), page
            for language in re.findall(r"^```(.+)$", text, flags=re.MULTILINE):
                assert language in ("sh", "text", "console", "python", "py", "pycon", "json", "csv"), (page, language)

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
    def test_exist_with_their_options(self, page: Path) -> None:
        for words in named(TEXTS[page]):
            command = typer.main.get_command(app)
            while hasattr(command, "commands") and words and not words[0].startswith("-"):
                found = command.get_command(None, words[0])
                assert found is not None, (page.name, words)
                command, words = found, words[1:]
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            known |= {"--help", "-h", "--install-completion", "--show-completion"}
            assert {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)} <= known, (page.name, words)

    def test_are_all_mentioned(self) -> None:
        for name in typer.main.get_command(app).list_commands(None):
            assert f"noisediag {name}" in README + HANDBOOK


class TestReadme:
    def test_is_short(self) -> None:
        assert len(README.splitlines()) <= 150

    def test_has_a_command_for_every_user_and_a_page_behind_it(self) -> None:
        rows = wanted()
        linked = {page for _, pages in rows for page in pages}
        assert linked >= {f"noisediag/guide/{name}.md" for name in guide.PAGES["What you want to know"]}
        assert all(commands and pages for commands, pages in rows)

    def test_its_commands_for_users_run(self, tmp_path: Path, noisediag: str) -> None:
        """On small pictures with the names that the commands have."""
        lines = [noisediag, "set -eo pipefail", Path(__file__).with_name("pictures.sh").read_text("utf-8")]
        for commands, _ in wanted():
            lines += [f"echo '{command}' >&2; {command} > /dev/null" for command in commands]
        done = subprocess.run(
            ["bash", "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def test_its_python_runs(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(ROOT)
        for block in blocks(README, "python"):
            exec(compile(block, "README.md", "exec"), {})  # its own words, as a reader would type them
        assert "1/e-" in capsys.readouterr().out

    def test_its_picture_is_light_and_up_to_date(self) -> None:
        """It carries what `estimate` printed when it was drawn."""
        import PIL.Image

        (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
        assert (ROOT / picture).stat().st_size < 200_000
        (first,) = [e for e in EXAMPLES if e.page == "README" and "estimate" in e.commands]
        with PIL.Image.open(ROOT / picture) as file:
            drawn = file.info["Description"]
        shown = first.steps[0].output
        assert all(readme.same(a, b) for a, b in zip(drawn.split(), shown.split(), strict=True))


class TestHandbook:
    def test_lists_its_pages(self) -> None:
        assert sorted(guide.NAMES) == sorted(page.stem for page in FOLDER.glob("*.md"))

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
    def test_begins_with_its_title(self, page: Path) -> None:
        first, second, *_ = TEXTS[page].splitlines()
        assert re.match(r"# \S", first)
        assert not second
        assert len(first) <= 80

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
    def test_links_hold(self, page: Path) -> None:
        for target in re.findall(r"\]\(([^)\s]+)\)", code_free(TEXTS[page])):
            if target.startswith("http"):
                continue
            name, _, anchor = target.partition("#")
            there = (page.parent / name).resolve() if name else page
            assert there.exists(), target
            assert there.is_relative_to(ROOT), target
            assert page == readme.README or there.parent == FOLDER, f"{target}: travels with no package"
            assert not anchor or anchor in anchors(there), target

    def test_every_page_is_linked(self) -> None:
        for name in guide.NAMES:
            others = [text for page, text in TEXTS.items() if page.stem != name]
            assert any(re.search(rf"\]\((noisediag/guide/)?{name}\.md[#)]", text) for text in others), name

    def test_python_in_it_can_be_read(self) -> None:
        for text in TEXTS.values():
            for block in blocks(text, "python"):
                ast.parse(block)

    def test_lists_the_parameters_as_they_are_declared(self) -> None:
        for one in PARAMETERS:
            assert f"| {one.name} | {one.symbol} | {one.unit} | {one.text} |" in TEXTS[FOLDER / "noise-model.md"]

    def test_lists_the_formats_as_they_are_declared(self) -> None:
        """`python tests/readme.py` writes them anew."""
        assert formats.markdown() in TEXTS[FOLDER / "formats.md"]

    def test_lists_every_extra(self) -> None:
        told = set(re.findall(r"^\| `([a-z0-9]+)` \| .{4,} \|$", TEXTS[FOLDER / "install.md"], flags=re.MULTILINE))
        section = (
            (ROOT / "pyproject.toml").read_text("utf-8").split("\n[project.optional-dependencies]\n")[1].split("\n[")[0]
        )
        assert told | {"all"} == set(re.findall(r"^([a-z0-9]+) = ", section, flags=re.MULTILINE))

    def test_lists_every_room(self) -> None:
        rooms = [place for place in (ROOT / "noisediag").iterdir() if (place / "__init__.py").exists()]
        for room in rooms:
            assert f"`{room.name}/`" in TEXTS[FOLDER / "development.md"], room.name

    @pytest.mark.parametrize("flag", FLAGS)
    def test_explains_every_flag(self, flag: str) -> None:
        assert re.search(rf"^\| `{flag}` \| {FLAG_WORDS[flag]} \| \w.{{10,}} \|$", glossary(), flags=re.MULTILINE)

    @pytest.mark.parametrize("law", LIGHT_LAWS)
    def test_explains_every_law(self, law: str) -> None:
        assert re.search(rf"^\| `{law}` \| .+ \| \w.{{3,}} \|$", glossary(), flags=re.MULTILINE)

    def test_explains_every_word_and_key_of_reports(self) -> None:
        schema = json.loads((ROOT / "noisediag" / "reports" / "report.schema.json").read_text("utf-8"))
        explained = set(re.findall(r"`([^`\s]+)`", HANDBOOK))
        assert {word for word in (*keys(schema), *enums(schema)) if word not in explained} == set()


def code_free(text: str) -> str:
    """`text` without blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", code_free(page.read_text("utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def named(text: str) -> list[list[str]]:
    """The words behind every `noisediag` of the commands in `text`, in blocks and in prose."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines() if not line.startswith("#")]
    lines += [line[2:] for block in blocks(text, "console") for line in block.splitlines() if line[:2] in ("$ ", "> ")]
    lines += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", code_free(text))]
    found = [re.findall(r"\bnoisediag((?: [^\s|;&>`]+)+)", line) for line in lines]
    words = [match.split() for matches in found for match in matches]
    return [one for one in words if re.match(r"[a-z-]+$", one[0])]


def wanted() -> list[tuple[list[str], list[str]]]:
    """Commands and pages of each row of the README's table of users."""
    section = README.split("\n## I want ...\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|") and "`noisediag " in line]
    return [(re.findall(r"`(noisediag [^`]+)`", row), re.findall(r"\]\(([^)]+)\)", row)) for row in rows]


def glossary() -> str:
    return TEXTS[FOLDER / "glossary.md"]


def keys(node: Any) -> Iterator[str]:
    """Of every object that a schema describes."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == "properties":
            yield from value
        yield from keys(value)
    for value in node if isinstance(node, list) else ():
        yield from keys(value)


def enums(node: Any) -> Iterator[str]:
    """The words that a schema lists."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == "enum":
            yield from (word for word in value if isinstance(word, str))
        yield from enums(value)
    for value in node if isinstance(node, list) else ():
        yield from enums(value)
