"""The page as a browser has it: axe-core finds nothing to mend, nothing sticks out, the table sorts and filters.

Skipped where there is no Chromium (Debian: `apt-get install chromium`). AXE=axe.min.js uses that axe-core, from npm, in
the place of the one of axe-core-python.
"""

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from noisediag.footprint.file import CheckpointId
from noisediag.reports import Failure
from noisediag.reports import json as json_report
from noisediag.reports import page as report

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PROBE = """
<script>addEventListener("load", async () => {
  document.querySelectorAll("details").forEach(one => { one.open = true; });
  const found = await axe.run(document), root = document.documentElement, told = {};
  told.violations = found.violations.map(one => [one.id, ...one.nodes.map(node => node.html)]);
  told.passes = found.passes.map(one => one.id);
  told.width = innerWidth; told.overflow = root.scrollWidth - innerWidth;
  told.paper = getComputedStyle(document.body).backgroundColor;
  told.charts = ["wide", "narrow"].map(name => getComputedStyle(document.querySelector("svg." + name)).display);
  root.removeAttribute("lang");
  told.planted = (await axe.run(document, {runOnly: ["html-has-lang"]})).violations.length;
  const cells = place => [...document.querySelectorAll(`#list tbody tr:not([hidden]) :nth-child(${place})`)];
  const sigmas = () => cells(6).filter(cell => cell.tagName == "TD").map(cell => cell.textContent);
  const button = document.querySelectorAll("#list thead th")[5].querySelector("button");
  button.focus(); told.focused = document.activeElement === button;
  button.click(); told.ascending = sigmas(); told.sorted = button.parentElement.getAttribute("aria-sort");
  button.click(); told.descending = sigmas();
  const form = document.getElementById("choose");
  form.elements.words.value = "b/ 0003"; form.dispatchEvent(new Event("input")); told.words = sigmas().length;
  form.elements.words.value = ""; form.elements.kind.value = "e"; form.dispatchEvent(new Event("input"));
  told.failed = cells(11).map(cell => cell.textContent); told.said = document.getElementById("shown").textContent;
  const out = top.document.createElement("pre"); out.id = "told"; out.textContent = JSON.stringify(told);
  top.document.body.append(out);
})</script>
"""


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium here")
    return found


@pytest.fixture(scope="module")
def axe():
    if path := os.environ.get("AXE"):
        return Path(path).read_text("utf-8")
    spec = importlib.util.find_spec("axe_core_python")
    if spec is None:
        pytest.skip("axe-core-python is not installed")
    return Path(spec.origin).with_name("axe.min.js").read_text("utf-8")


@pytest.fixture
def page(make_footprint, make_plane, tmp_path):
    """Files of two folders, one that stands out, and one that failed under a name that would be a script."""
    made = [
        make_footprint(
            path=f"in/{'ab'[number % 2]}/{number:04}.dng",
            acquisition={"Make": "Maker", "ISO": 100, "DateTimeOriginal": f"2024:{number + 1:02}:10 08:00:00"},
            planes=(make_plane("all", {"shot_gain": 2e-5 * (9 if number == 7 else 1 + number / 100)}),),
        )
        for number in range(12)
    ]
    failed = Failure("in/<script>alert(1)</script>.tif", "truncated", "ends early")
    source = tmp_path / "r.json"
    source.write_text(json_report.dumps([*made, failed], CheckpointId("sensor", "0" * 64)), encoding="utf-8")
    return report.page(source, thumbnails=True, folder=tmp_path)


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_it_is_sound(browser, axe, page, tmp_path, width, dark):
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', page).group()
    page = page.replace(policy, "")  # it would not let the probe in
    if dark:
        page = page.replace("@media screen and (prefers-color-scheme:dark)", "@media screen")
    told = probed(browser, page.replace("</body>", f"<script>{axe}</script>{PROBE}</body>"), width, tmp_path)
    assert told["violations"] == []
    assert {"color-contrast", "label", "link-name", "th-has-data-cells"} <= {*told["passes"]}
    assert told["planted"] == 1  # it would have said so
    assert (told["width"], told["overflow"]) == (width, 0)
    assert told["paper"] == ("rgb(22, 22, 22)" if dark else "rgb(255, 255, 255)")
    assert told["charts"] == (["none", "block"] if width < 760 else ["block", "none"])
    assert told["focused"]
    known = [float(text) for text in told["ascending"] if text]
    assert known == sorted(known)
    assert len(known) == 12
    assert (told["ascending"][-1], told["descending"][-1], told["sorted"]) == ("", "", "ascending")  # unknown: last
    assert told["descending"][:-1] == told["ascending"][:-1][::-1]
    assert told["words"] == 1
    assert told["failed"] == ["failed, truncated: ends early"]
    assert told["said"] == "1 of 13 shown"


def test_the_policy_lets_it_run(browser, page, tmp_path):
    dom = loaded(browser, page, tmp_path)
    assert "13 of 13 shown" in dom
    assert dom.count('<button type="button">') == 11


def probed(browser, page, width, folder):
    """What PROBE told, of the page in a frame `width` px wide: windows are never narrower than 500."""
    frame = (
        f'<!DOCTYPE html><iframe width="{width}" height="900" style="border:0" srcdoc="{html.escape(page)}"></iframe>'
    )
    return json.loads(re.search(r'<pre id="told">(.*?)</pre>', loaded(browser, frame, folder), re.DOTALL).group(1))


def loaded(browser, page, folder):
    """The document as it stands once its scripts have run."""
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    options += ["--window-size=1400,1000", "--hide-scrollbars", "--virtual-time-budget=20000", "--dump-dom"]
    run = subprocess.run([browser, *options, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return run.stdout
