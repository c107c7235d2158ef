"""`noisediag guide`: pages, lists, searches, and what is near to a word that is no page."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from noisediag import guide
from noisediag.cli import app
from noisediag.errors import UsageError


def asked(*arguments):
    return CliRunner().invoke(app, ["guide", *arguments])


class TestPages:
    @pytest.mark.parametrize("name", guide.NAMES)
    def test_are_plain_where_no_terminal_reads(self, name):
        done = asked(name)
        assert done.exit_code == 0
        assert done.stdout == guide.read(name)

    @pytest.mark.parametrize("spelt", ["Reading the table", "reading_the_table", "reading-the-table.md"])
    def test_may_be_spelt_otherwise(self, spelt):
        assert guide.read(spelt) == guide.read("reading-the-table")

    def test_are_listed_with_a_line_each(self):
        done = asked()
        assert done.exit_code == 0
        for name in guide.NAMES:
            (line,) = [line for line in done.stdout.splitlines() if line.split()[:1] == [name]]
            assert guide.title(name) in line
            assert len(line) <= 80

    @pytest.mark.parametrize(
        ("topic", "page"), [("denoisers", "denoiser"), ("glosary", "glossary"), ("finetune", "own-labels")]
    )
    def test_of_another_name_are_told(self, topic, page):
        done = asked(topic)
        assert done.exit_code == 2
        assert not done.stdout
        assert done.stderr.startswith(f"noisediag: no page is called '{topic}'; near: ")
        assert page in done.stderr
        assert done.stderr.count("\n") == 1

    def test_far_from_every_word_leads_to_the_list(self):
        done = asked("xyzzyx\x1b[31m")
        assert done.exit_code == 2
        assert "`noisediag guide` lists them" in done.stderr
        assert "\x1b" not in done.stderr

    def test_no_path_is_a_page(self):
        with pytest.raises(UsageError):
            guide.read("../errors")


class TestSearch:
    def test_finds_passages_that_hold_all_words(self):
        done = asked("--search", "black_doubtful", "vanishes")
        assert done.exit_code == 0
        assert "black counts as unknown" in done.stdout
        for passage in guide.search(["black_doubtful", "vanishes"]):
            assert "black_doubtful" in f"{passage.heading} {passage.text}"

    def test_takes_words_apart_or_together(self):
        assert asked("--search", "read noise").stdout == asked("--search", "read", "noise").stdout

    def test_minds_neither_capitals_nor_gaps(self):
        assert guide.search(["READ NOISE"]) == guide.search(["read_noise"]) == guide.search(["read-noise"])

    def test_passes_over_what_commands_print(self):
        assert "sigma in DN against the signal" in guide.read("microscopist")
        assert not guide.search(["sigma in DN against the signal"], "microscopist")

    def test_of_a_word_in_a_heading_is_no_whole_section(self):
        for passage in guide.search(["photons"]):
            assert "photons" in passage.text.lower()

    def test_of_one_page(self):
        assert {passage.page for passage in guide.search(["sigma"], "denoiser")} == {"denoiser"}
        assert "## glossary" not in asked("denoiser", "--search", "sigma").stdout

    def test_of_nothing_is_a_line_and_exit_code_1(self):
        done = asked("--search", "quantisaton")
        assert done.exit_code == 1
        assert not done.stdout
        assert "quantisation" in done.stderr

    @pytest.mark.parametrize("words", ["", "  "])
    def test_needs_a_word(self, words):
        assert asked("--search", words).exit_code == 2

    def test_keeps_code_whole_and_rows_apart(self):
        (block,) = {p.text for p in guide.search(["fastdvdnet", "```sh"], "denoiser")}
        assert block.startswith("```sh\n")
        assert block.endswith("\n```")
        (row,) = guide.search(["| `speckle` |"], "glossary")
        assert "\n" not in row.text


def run(*arguments, **changes):
    return subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **changes},
    )


CODE = """
import sys
from noisediag.cli import main
sys.argv[0] = "noisediag"
try:
    main()
finally:
    sys.stderr.write(str(sorted({"torch", "numpy"} & set(sys.modules))))
"""


def test_neither_torch_nor_numpy_is_imported():
    done = run("guide", "glossary")
    assert done.returncode == 0
    assert done.stderr == "[]"


def test_topics_are_completed():
    done = run(_NOISEDIAG_COMPLETE="complete_bash", COMP_WORDS="noisediag guide mi", COMP_CWORD="2")
    assert done.stdout.split() == ["microscopist"]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_gets_it_laid_out_in_the_pager(tmp_path, colour):
    import pty

    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED; cat\n")
    pager.chmod(0o755)
    environment = {**os.environ, "PAGER": str(pager), "TERM": "xterm-256color", "COLUMNS": "90"}
    environment.pop("NO_COLOR", None)
    if not colour:
        environment["NO_COLOR"] = "1"
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "noisediag", "guide", "glossary"], stdout=theirs, stdin=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # its end, on Linux
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert child.wait() == 0
    text = shown.decode()
    assert text.startswith("PAGED")
    assert "Glossary: flags, laws" in text
    assert "](" not in text
    assert "guide noise-model" in text
    assert ("\x1b[1m" in text) == colour
