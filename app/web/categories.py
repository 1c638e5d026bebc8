"""What campaigns are about: the slugs that their texts hold, and their names on the page."""

from __future__ import annotations

from typing import Final

from app.web.language import gettext, translatable

CATEGORIES: Final[dict[str, str]] = {
    "art": translatable("Art"),
    "music": translatable("Music"),
    "film": translatable("Film"),
    "games": translatable("Games"),
    "design": translatable("Design"),
    "technology": translatable("Technology"),
    "food": translatable("Food"),
    "community": translatable("Community"),
    "education": translatable("Education"),
    "environment": translatable("Environment"),
    "publishing": translatable("Publishing"),
    "sport": translatable("Sport"),
}
"""Every category by its slug, with its name in English."""


def category_name(slug: str) -> str:
    """The name of a category in the page's language; empty for one that is not ours."""
    name = CATEGORIES.get(slug)
    return gettext(name) if name else ""


def category_options() -> list[tuple[str, str]]:
    """(slug, name in the page's language) of every category, for a form."""
    return [(slug, gettext(name)) for slug, name in CATEGORIES.items()]
