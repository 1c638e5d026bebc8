"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from app.web.discover.finding import discover, home
from app.web.discover.help import (
    robots,
    show_charging,
    show_checking,
    show_fees,
    show_help,
    show_privacy,
    show_terms,
    sitemap,
    sitemap_index,
)
from app.web.discover.pages import favicon, list_problems, show_problem, styleguide
from app.web.discover.people import show_channel, show_creator

HANDLERS: Final = (
    home,
    discover,
    show_channel,
    show_creator,
    show_help,
    show_charging,
    show_fees,
    show_checking,
    show_terms,
    show_privacy,
    list_problems,
    show_problem,
    styleguide,
    robots,
    sitemap_index,
    sitemap,
    favicon,
)
