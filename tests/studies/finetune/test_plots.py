"""Plots of a fine-tuning made by hand: panels, what they hold, and labels that do not stand on each other."""

import dataclasses
import itertools

import pytest
from matplotlib.figure import Figure

from noisediag.footprint.file import CheckpointId
from noisediag.reports import plots as saving
from noisediag.studies.finetune import plots, report
from noisediag.studies.finetune.result import CurvePoint, FinetuneOptions, FinetuneResult, Prediction, Verdict

WORDS = ("gaussian", "a very long word indeed", "$odd_{one}$")


def verdict(name, scale="linear", **changes):
    fields = {"unit": "e-", "learned": 40, "judged": 20, "rmse_mean": 1.0, "rmse_before": None, "rmse_after": 0.2}
    fields |= {"r2_before": None, "r2_after": 0.9, "coverage_before": None, "coverage_after": 0.9, "better": True}
    return Verdict(name=name, scale=scale, **{**fields, **changes})


def numbers(name, *, log=False, bounds=True):
    for place in range(20):
        truth = 10.0 ** (place / 5) if log else place - 5.0
        value = truth * (1.5 if log else 1) + (0 if log else 0.5)
        low, high = (
            (min(value * 0.8, value * 1.2) - 0.1, max(value * 0.8, value * 1.2) + 0.1) if bounds else (None, None)
        )
        yield Prediction(name, f"{place}.png", truth, value, low, high)


def words(name):
    for place in range(20):
        yield Prediction(name, f"{place}.png", WORDS[place % 3], WORDS[(place // 7) % 3], None, None)


@pytest.fixture
def result():
    verdicts = (
        verdict("full_well", "log"),
        verdict("$offset_{dn}$", better=False),
        verdict("noise_type", "class", unit="", r2_after=None, coverage_after=None),
        verdict("few", coverage_after=None),
    )
    predictions = (
        *numbers("full_well", log=True),
        *numbers("$offset_{dn}$"),
        *words("noise_type"),
        *numbers("few", bounds=False),
    )
    curve = tuple(CurvePoint(v.name, shots, 1 / shots) for v in verdicts for shots in (10, 25, 40))
    return FinetuneResult(
        FinetuneOptions(), CheckpointId("sensor", "0" * 64), "held out", 40, 20, 60, verdicts, curve,
        predictions=predictions,
    )  # fmt: skip


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would have been saved, laid out."""
    figures: list[Figure] = []

    def keep(figure, path):
        figure.draw_without_rendering()
        figures.append(figure)

    monkeypatch.setattr(saving, "save", keep)
    return figures


def test_a_panel_a_name(result, drawn, tmp_path):
    plots.draw_predictions(result, tmp_path / "p.png")
    panels = [axes for axes in drawn[0].axes if axes.axison]
    assert len(panels) == len(result.verdicts)
    log, linear, table, few = panels
    assert (log.get_xscale(), linear.get_xscale()) == ("log", "linear")
    assert log.get_title() == "full_well\nR2 0.90, 90 % in interval"
    assert "left out" in linear.get_title()
    for axes in (log, linear, few):
        assert axes.get_xlim() == axes.get_ylim()
        assert len(axes.get_xticks()) >= 2
        shown = sum(len(container.lines[0].get_xdata()) for container in axes.containers)
        assert shown + sum(line.get_marker() == "D" and len(line.get_xdata()) for line in axes.lines) == 20
    held = [c for c in linear.containers if c.get_label() == "interval holds the label"]
    inside = sum(p.low <= p.truth <= p.high for p in result.predictions if p.name == "$offset_{dn}$")
    assert len(held[0].lines[0].get_xdata()) == inside > 0
    assert sum(int(text.get_text()) for text in table.texts) == 20


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_no_label_stands_on_another_or_outside(result, drawn, tmp_path, count):
    result = dataclasses.replace(result, verdicts=result.verdicts[:count])
    plots.draw_predictions(result, tmp_path / "p.png")
    texts = [axes.title for axes in drawn[0].axes if axes.axison]
    for axes in drawn[0].axes:
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label]
            texts += [label for label in axes.get_yticklabels() if label.get_text()]
    texts += drawn[0].legends[0].get_texts()
    boxes = [text.get_window_extent() for text in texts]
    assert all(not a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert all(drawn[0].bbox.min[1] <= box.y0 and box.y1 <= drawn[0].bbox.max[1] for box in boxes)


@pytest.mark.parametrize("suffix", saving.SUFFIXES)
def test_every_format(result, tmp_path, suffix):
    plots.draw_predictions(result, tmp_path / f"p{suffix}")
    assert (tmp_path / f"p{suffix}").stat().st_size > 1000


def test_the_table_says_which_column_is_what(result, capsys):
    from noisediag.cli.common import print_80

    print_80(report.render(result))
    lines = capsys.readouterr().out.splitlines()
    place = next(place for place, line in enumerate(lines) if line.lstrip().startswith("RMSE"))
    assert lines[place].split() == ["RMSE", "RMSE", "RMSE", "R2", "R2", "in", "its"]
    assert lines[place + 1].split() == "name scale n mean before after before after 90 % verdict".split()
    assert max(map(len, lines)) <= 80


def test_the_json_holds_the_predictions_and_no_network(result, check_document):
    import json
    from dataclasses import replace

    document = json.loads(report.dumps(result))
    assert check_document(document) == "finetune"
    assert len(document["predictions"]) == 80
    assert document["options"]["encoder"] is False
    other = replace(result, options=replace(result.options, encoder=object()))
    assert json.loads(report.dumps(other))["options"]["encoder"] is True
