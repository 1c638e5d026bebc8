"""The addresses of this area; served in a demo only."""

from __future__ import annotations

from typing import Final

from app.web.demo.cheating import cheat, show_cheating, show_trial
from app.web.demo.pages import close_one_now, show_demo, view_as

HANDLERS: Final = (show_demo, view_as, close_one_now, show_cheating, cheat, show_trial)
