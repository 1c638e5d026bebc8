"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from app.web.discover.pages import favicon, home, list_problems, show_problem

HANDLERS: Final = (home, favicon, list_problems, show_problem)
