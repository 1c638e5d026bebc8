"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from app.web.audit.listing import show_log
from app.web.audit.pages import show_audit, show_campaign_audit

HANDLERS: Final = (show_audit, show_campaign_audit, show_log)
