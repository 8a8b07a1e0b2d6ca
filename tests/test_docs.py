"""What the docs list is what there is, and their tables are tables."""

import re
from pathlib import Path

import pytest

from jaxscale.discovery import discover

DOCS = Path(__file__).parents[1] / "docs"
HEAD = [DOCS.parent / name for name in ("README.md", "CONTRIBUTING.md")]
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("gallery/**/*.md"), *HEAD])


def mentioned(page):
    """Every name in code quotes of a page, also as the end of a dotted one."""
    quoted = re.findall(r"`([^`\n]+)`|(?<=\n)\| \[?(\w+)", re.sub(r"```.*?```", "", (DOCS / page).read_text(), flags=re.S))
    return {word for text in quoted for word in re.findall(r"\w+", "".join(text))}


def defined(package):
    """Names of the modules of a package that offer an example."""
    return set(discover(package, "TINY"))


@pytest.mark.parametrize(
    "page, package, name", [("fit.md", "jaxscale.fitting.laws", "LAW"), ("gallery/index.md", "jaxscale.studies", "STUDY")]
)
def test_every_law_and_every_study_is_in_the_docs(page, package, name):
    assert set(discover(package, name)) <= mentioned(page)


@pytest.mark.parametrize("package", ["models", "dynamics"])
def test_every_model_and_rule_of_motion_is_in_the_docs(package):
    words = mentioned("models.md") | mentioned("language.md")
    for name, tiny in discover(f"jaxscale.{package}", "TINY").items():
        made = tiny() if callable(tiny) and not hasattr(tiny, "check") else tiny
        for one in made if isinstance(made, tuple) else (made,):
            assert type(one).__name__ in words, f"{name}: {type(one).__name__} is in no page"


def test_every_world_is_in_the_docs():
    words = mentioned("language.md")
    for name, tiny in discover("jaxscale.data", "TINY").items():
        for one in tiny if isinstance(tiny, tuple) else (tiny,):
            assert type(one).__name__ in words, f"{name}: {type(one).__name__} is not in language.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_tables_are_tables(page):
    """A blank line inside a table leaves rows without a header, which are shown as text."""
    lines = re.sub(r"```.*?```", "", page.read_text(), flags=re.S).splitlines()
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""]):
        if line.startswith("|") and not before.startswith("|"):
            assert re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", after), f"{page.name}: a row without a header: {line[:60]}"
            assert after.count("|") == line.replace(r"\|", "").count("|"), f"{page.name}: columns of {line[:60]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_linked_files_exist(page):
    for target in re.findall(r"\]\(([^)#:\s]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_modules_that_are_named_exist(page):
    import importlib

    for name in set(re.findall(r"\bjaxscale(?:\.[a-z_0-9]+)+\b", page.read_text())):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), f"{page.name} names {name}"
