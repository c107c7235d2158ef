"""The training commands that the handbook and model cards state are commands of this version."""

import itertools
import re
from pathlib import Path

import pytest
import typer.main

from noisediag.cli import app

ROOT = Path(__file__).resolve().parents[2]
HANDBOOK = "noisediag/guide/development.md"
PAGES = (HANDBOOK, "models/encoder.md", "models/sensor.md", "models/paper.md", "models/paper-encoder.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_option_of_a_stated_training_command_exists(page: str) -> None:
    prose = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    commands = [span for span in spans if "noisediag pretrain" in span]
    assert commands
    command = typer.main.get_command(app).get_command(None, "pretrain")
    known = {option for parameter in command.params for option in parameter.opts}
    for text in commands:
        words = text.split("noisediag pretrain", 1)[1].split()
        stated = [word for word in words if word.startswith("-")]
        assert set(stated) <= known, text
        if page != HANDBOOK:  # whose prose names single options
            assert "-o" in stated, text
        for option, value in itertools.pairwise(words):
            if option == "--stage":
                assert value in ("encoder", "sensor", "rendered", "paper", "paper-encoder"), text
