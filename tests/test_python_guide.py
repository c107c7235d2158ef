"""The page of the handbook on Python, `help(noisediag)`, and what an interactive session shows."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import noisediag

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("python_page", Path(__file__).parent / "python_page.py")
page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(page)
PAGE = page.PAGE.read_text("utf-8")
FUNCTIONS = [name for name in noisediag.__all__ if inspect.isroutine(getattr(noisediag, name))]


def failures(test: doctest.DocTest) -> str:
    told: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
    return "".join(told)


def test_the_page_shows_what_its_examples_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    test = doctest.DocTestParser().get_doctest(page.session(PAGE), {}, "python.md", None, 0)
    assert len(test.examples) > 25
    assert failures(test) == ""


def test_the_page_names_every_function() -> None:
    for name in FUNCTIONS:
        assert name in PAGE, name


@pytest.mark.parametrize("name", ["noisediag", *FUNCTIONS])
def test_examples_in_docstrings_run(name: str) -> None:
    found = noisediag if name == "noisediag" else inspect.unwrap(getattr(noisediag, name))
    if ">>>" not in (found.__doc__ or ""):
        pytest.skip("no example")
    test = doctest.DocTestParser().get_doctest(found.__doc__, {}, name, None, 0)
    assert failures(test) == ""


class TestHelp:
    def test_lists_every_name_with_a_line(self) -> None:
        text = re.sub(".\b", "", pydoc.render_doc(noisediag))
        assert ">>> fp = noisediag.estimate(" in text
        for name in noisediag.__all__:
            if name != "__version__":
                assert re.search(rf"\b{name}\b", text), name

    @pytest.mark.parametrize("name", [name for name in noisediag.__all__ if name != "__version__"])
    def test_each_name_has_a_first_line_that_stands_alone(self, name: str) -> None:
        first = (inspect.getdoc(getattr(noisediag, name)) or "").split("\n\n")[0]
        assert first.rstrip().endswith((".", "estimated."))
        assert len(first) < 260

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_signatures_are_typed(self, name: str) -> None:
        signature = inspect.signature(getattr(noisediag, name))
        assert signature.return_annotation is not inspect.Signature.empty
        for parameter in signature.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty, parameter

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_every_keyword_is_described(self, name: str) -> None:
        function = getattr(noisediag, name)
        described = inspect.getdoc(function) or ""
        if name.endswith("_many"):  # which names the first and the last of those that are described there
            described += inspect.getdoc(getattr(noisediag, name.removesuffix("_many"))) or ""
        for keyword in inspect.signature(function).parameters:
            assert re.search(rf"\b{keyword}\b", described), keyword

    def test_completion_shows_the_public_names(self) -> None:
        completer = pytest.importorskip("IPython.core.completer")
        found = completer.Completer(namespace={"noisediag": noisediag}).attr_matches("noisediag.")
        names = {one.rpartition(".")[2] for one in found}
        assert {name for name in noisediag.__all__ if not name.startswith("_")} <= names


def test_importing_loads_nothing_of_others() -> None:
    code = (
        "import sys; before = set(sys.modules); import noisediag\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("['noisediag']", "")
