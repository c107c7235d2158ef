"""Trainings of tests are toys of seconds."""

from collections.abc import Iterator

import pytest

from noisediag.training import chart


@pytest.fixture(scope="session", autouse=True)
def few_genomes_on_the_chart() -> Iterator[None]:
    """The units of places on a chart come from a few genomes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chart, "DRAWN", 128)
        yield
