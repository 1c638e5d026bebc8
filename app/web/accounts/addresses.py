"""Addresses that people type or that links carry: of mail boxes, and of pages to go on to."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

LONGEST_MAIL: Final = 254
"""RFC 5321, 4.5.3.1.3: a path of 256 octets with its brackets."""

_MAIL: Final = re.compile(
    r"[^\s@\"(),:;<>\[\\\]\x00-\x1f\x7f]{1,64}@(?:[^\s@.,;:\"'<>()\[\]\\/]+\.)+[^\s@.,;:\"'<>()\[\]\\/]{2,}"
)
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f\\]")


def is_mail(text: str) -> bool:
    """Whether a text can be a mail address. Whether somebody reads it only a mail can tell."""
    return len(text) <= LONGEST_MAIL and _MAIL.fullmatch(text.strip()) is not None


def local_path(text: str, otherwise: str = "/") -> str:
    """The path to go on to, where it is one of ours; else `otherwise`.

    A link that leads here and from here to another site would lend that site our name.
    """
    if not text.startswith("/") or text.startswith("//") or _CONTROL.search(text):
        return otherwise
    parts = urlsplit(text)
    return otherwise if parts.scheme or parts.netloc else text
