"""What can be set, typed or logged is written down, and what is written down is there."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from msgspec.structs import fields

from app.event_docs import render
from app.settings import ENVIRONMENT, Settings
from domain.events import EVENT_TYPES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def headings(page: str) -> list[str]:
    """The second-level headings of a page."""
    return re.findall(r"^## (.+)$", (DOCS / page).read_text(), re.MULTILINE)


def test_every_setting_is_documented() -> None:
    """Table and sections name exactly the settings, the table with the variables that set them."""
    page = (DOCS / "settings.md").read_text()
    rows: list[tuple[str, str]] = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)? ?\|", page, re.MULTILINE)
    settings = [field.name for field in fields(Settings)]
    assert dict(rows) == {setting: ENVIRONMENT.get(setting, "") for setting in settings}
    explained = [name for heading in headings("settings.md") for name in heading.split(", ")]
    assert explained == settings


@pytest.mark.parametrize("page", ["docs/settings.md", ".env.example"])
def test_every_variable_is_named(page: str) -> None:
    """The page and the example name every variable that is read, and no other."""
    assert set(re.findall(r"TRIBUTARY_[A-Z_]+", (ROOT / page).read_text())) == set(
        ENVIRONMENT.values()
    )


def test_the_environment_is_read_in_one_place() -> None:
    """Nothing reads the process's environment but the settings."""
    reading = [
        str(path.relative_to(ROOT))
        for room in ("app", "domain", "projections")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"\benviron\b|\bgetenv\b", path.read_text())
    ]
    assert reading == ["app/settings.py"]


def commands(group: click.Command, path: str) -> Iterator[str]:
    """Every command that can be typed, with the groups before it."""
    if not isinstance(group, click.Group):
        yield path
        return
    if group.invoke_without_command:
        yield path
    for name, command in group.commands.items():
        yield from commands(command, f"{path} {name}")


def test_every_command_is_documented() -> None:
    """The page has a section for each command, and none for a command that is not there."""
    if importlib.util.find_spec("app.cli") is None:
        return
    main = importlib.import_module("app.cli").main
    assert sorted(headings("commands.md")) == sorted(commands(main, "tributary"))


def test_every_event_is_documented() -> None:
    """The page of events is the one that `make docs` writes, with a section for each tag."""
    up_to_date = (DOCS / "events.md").read_text() == render()
    assert up_to_date, "run `make docs`"
    assert set(EVENT_TYPES) <= set(headings("events.md"))


def test_links_lead_somewhere() -> None:
    """Every relative link of the docs, the README and the changelog leads to a file."""
    wrong = []
    for page in [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"]:
        text = re.sub(r"`[^`\n]*`", "", page.read_text() if page.exists() else "")
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            file = target.partition("#")[0]
            if "://" not in target and file and not (page.parent / file).exists():
                wrong.append(f"{page.relative_to(ROOT)}: {target}")
    assert wrong == []
