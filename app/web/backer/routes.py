"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from app.web.backer.ledger import change_card, find_pledge, show_ledger, show_pledge, withdraw
from app.web.backer.pledging import come_back, show_form, take_form

HANDLERS: Final = (
    show_form,
    take_form,
    come_back,
    show_ledger,
    find_pledge,
    show_pledge,
    withdraw,
    change_card,
)
