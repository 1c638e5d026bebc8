"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from app.web.public.campaigns import show_campaign

HANDLERS: Final = (show_campaign,)
