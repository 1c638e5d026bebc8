"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from app.web.mail.choices import show_choices, show_off, take_choices, take_off
from app.web.mail.following import follow, show_confirm, show_follow, take_confirm, unfollow
from app.web.mail.outbox import show_mail, show_outbox

HANDLERS: Final = (
    show_outbox,
    show_mail,
    show_off,
    take_off,
    show_choices,
    take_choices,
    show_follow,
    follow,
    unfollow,
    show_confirm,
    take_confirm,
)
