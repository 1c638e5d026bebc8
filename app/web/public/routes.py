"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from app.web.public.asking import answer, ask, hide, show_questions
from app.web.public.campaigns import show_campaign
from app.web.public.changing import show_changes
from app.web.public.explaining import show_explanation
from app.web.public.live import show_live
from app.web.public.offering import offer_help
from app.web.public.passing_on import show_card, show_qr
from app.web.public.previewing import show_preview
from app.web.public.reporting import show_report, take_report

HANDLERS: Final = (
    show_campaign,
    show_live,
    show_questions,
    ask,
    answer,
    hide,
    show_report,
    take_report,
    offer_help,
    show_changes,
    show_explanation,
    show_card,
    show_qr,
    show_preview,
)
