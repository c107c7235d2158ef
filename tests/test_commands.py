"""Every command: how it is shown, its example, and what all have in common."""

import os
import shlex
import subprocess
import sys
import time
import unicodedata

import pytest
import typer
from typer.testing import CliRunner

from noisediag.cli import COMMANDS, GROUPS, app
from noisediag.cli.examples import EXAMPLES
from noisediag.errors import VOICE
from noisediag.reports import json
from noisediag.reports.progress import Waiting, console_progress

LATER = {"guide", "schema"}  # whose commands other branches bring


def leaves():
    """Name and command of all that are no groups."""
    group = typer.main.get_command(app)
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        for inner, one in getattr(command, "commands", {"": command}).items():
            yield f"{name} {inner}".strip(), one


LEAVES = dict(leaves())


@pytest.fixture(autouse=True)
def _voice():
    yield
    VOICE.quiet = VOICE.verbose = False


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


class TestHelp:
    def test_the_overview_has_groups_in_the_order_of_use(self):
        shown = run("--help").stdout
        places = [shown.index(f"\n{title}:\n") for title in GROUPS]
        assert places == sorted(places)
        assert list(COMMANDS) == [name for commands in GROUPS.values() for name in commands]

    def test_every_command_has_an_example_and_no_example_is_of_another(self):
        assert set(LEAVES) | LATER == set(EXAMPLES) | LATER

    @pytest.mark.parametrize("name", LEAVES)
    def test_examples_stand_in_the_help_and_parse(self, name):
        command, words = LEAVES[name], shlex.split(EXAMPLES[name])
        assert words[: 1 + len(name.split())] == ["noisediag", *name.split()]
        shown = " ".join(run(*name.split(), "--help").stdout.split())
        assert f"Example: {EXAMPLES[name]}" in shown
        command.make_context(name, words[1 + len(name.split()) :])

    @pytest.mark.parametrize("name", LEAVES)
    def test_all_take_quiet_and_verbose(self, name):
        options = {option for param in LEAVES[name].params for option in param.opts}
        assert {"--quiet", "-q", "--verbose", "-v"} <= options

    @pytest.mark.parametrize(
        ("words", "offered"),
        [
            ("noisediag estimate --sort s", ["sigma"]),
            ("noisediag simulate --scene gr", ["gradient", "graphic", "grain", "ground"]),
            ("noisediag finetune --encoder p", ["paper-encoder"]),
            ("noisediag batch --cluster s", ["slurm", "sge"]),
        ],
    )
    def test_values_complete(self, words, offered):
        environment = {
            **os.environ,
            "_NOISEDIAG_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        code = "import sys; sys.argv = ['noisediag']; from noisediag.cli import app; app(prog_name='noisediag')"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
        )
        assert done.stdout.split() == offered


class TestPaths:
    @pytest.mark.parametrize("address", ["https://host.org//a.png", "s3://bucket/x.tif", "file:///home/a.png"])
    @pytest.mark.parametrize("command", ["estimate", "batch", "check --against-metadata", "simulate -o"])
    def test_addresses_are_refused_in_one_line_and_as_they_were_given(self, command, address):
        result = run(*command.split(), address)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr == (
            f"noisediag: {address}: is an address, and nothing is downloaded: fetch it, and give the file\n"
        )

    def test_an_option_s_value_is_no_address_either_and_a_scheduler_s_is(self, tmp_path):
        assert "is an address" in run("estimate", "a.png", "--output=https://host/x.json").stderr
        other = run("batch", tmp_path / "none", "-o", tmp_path / "r.jsonl", "--scheduler", "tcp://127.0.0.1:1")
        assert "is an address" not in other.stderr

    @pytest.mark.skipif(os.sep != "/", reason="backslashes part names here")
    def test_backslashes_find_a_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "a.txt").write_text("no picture, and found")
        assert run("estimate", "sub\\a.txt").stderr.startswith("noisediag: sub/a.txt: no known format")
        assert "no such file" in run("estimate", "C:\\photos\\a.dng").stderr
        assert "C:\\photos\\a.dng" in run("estimate", "C:\\photos\\a.dng").stderr

    @pytest.mark.parametrize(("disk", "typed"), [("NFD", "NFC"), ("NFC", "NFD")])
    def test_accents_may_be_composed_or_not(self, tmp_path, disk, typed):
        name = "Größe été.txt"
        place = tmp_path / unicodedata.normalize(disk, "Bücher")
        place.mkdir()
        (place / unicodedata.normalize(disk, name)).write_text("no picture, and found")
        wanted = tmp_path / unicodedata.normalize(typed, "Bücher") / unicodedata.normalize(typed, name)
        assert "no known format" in run("estimate", wanted).stderr

    def test_the_home_folder_where_no_shell_expands_it(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        (tmp_path / "a.txt").write_text("no picture, and found")
        assert "no known format" in run("estimate", "~/a.txt").stderr
        assert str(tmp_path / "nowhere" / "x.json") in run("estimate", "a", "--output=~/nowhere/x.json").stderr


class TestStdout:
    @pytest.mark.parametrize(
        "words", ["distance a b --plot -", "measure --repeats a --curve -", "finetune --labels a.csv -o -"]
    )
    def test_what_would_share_stdout_with_a_table_is_refused(self, words):
        result = run(*words.split())
        assert (result.exit_code, result.stdout) == (2, "")
        assert "- this goes to a file only" in result.stderr.replace(":", "")

    def test_a_page_on_stdout(self, footprint, tmp_path):
        (tmp_path / "r.json").write_text(json.dumps([footprint], footprint.checkpoint), encoding="utf-8")
        page = run("report", tmp_path / "r.json", "-o", "-", "--no-thumbnails")
        assert page.exit_code == 0, page.output
        assert page.stdout.startswith("<!")


class TestVoice:
    def test_quiet_and_verbose_exclude_each_other(self):
        result = run("estimate", "a.png", "-q", "-v")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "noisediag: --quiet and --verbose exclude each other\n"

    def test_verbose_says_how_long_it_took_and_quiet_keeps_errors(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("no picture")
        quiet, usual, verbose = (run("estimate", path, *more).stderr.splitlines() for more in ((), ("-q",), ("-v",)))
        assert quiet == usual
        assert verbose[-1].startswith("noisediag: took ")
        assert len(verbose) == len(usual) + 2

    def test_a_bar_comes_late_steps_aside_and_leaves_nothing(self, monkeypatch, capsys):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setattr("noisediag.reports.progress.DELAY_S", 0.2)
        with Waiting("quick", 3):
            pass
        time.sleep(0.3)
        assert capsys.readouterr().err == ""
        with Waiting("slow one", 3) as waiting:
            waiting.advance()
            time.sleep(0.5)
            with VOICE.aside():
                pass
        shown = capsys.readouterr()
        assert "slow one" in shown.err
        assert "1/3" in shown.err
        assert shown.out == ""

    def test_no_bar_where_nobody_looks_or_quiet_was_asked_for(self, monkeypatch, capsys):
        monkeypatch.setattr("noisediag.reports.progress.DELAY_S", 0.01)
        for terminal, quiet in ((False, False), (True, True)):
            monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
            VOICE.quiet = quiet
            for _ in console_progress(range(3), 3):
                time.sleep(0.05)
            assert capsys.readouterr().err == ""
