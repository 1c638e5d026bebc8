"""A receipt as the pages show it: its code to print, its file, and the way to its check."""

from __future__ import annotations

import asyncio
import io
import shlex
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import segno
from markupsafe import Markup
from msgspec import Struct

from app.transparency.receipts import Entry, LeafDiffersError, Receipt, file_name
from app.web.site import Site
from projections.backer_ledger import PledgeLine

CODES_KEPT: Final = 32
"""Drawings that are kept: a page is looked at more than once, and each takes 40 ms to draw."""


class Card(Struct, frozen=True):
    """What a pledge's page shows of the receipt that the pledge was made.

    `receipt` is None while no published checkpoint covers it; `brought` is it for a link to the
    check, `code` its drawing, and `check_at` where anybody checks it. `is_broken`: the log and its
    tree say different things of it, so that none can be made.
    """

    entry: Entry
    receipt: Receipt | None
    file_name: str
    brought: str
    code: Markup | str
    key: str
    check_at: str
    is_broken: bool = False


async def receipt_card(site: Site, line: PledgeLine, entries: Sequence[Entry]) -> Card:
    """The card of a pledge, whose own `entries` begin with that it was made."""
    return await asyncio.to_thread(_card, site, line, entries[0])


def _card(site: Site, line: PledgeLine, entry: Entry) -> Card:
    receipt, is_broken = None, False
    try:
        receipt = site.platform.receipts.receipt(entry.position, line.backer, line.currency)
    except (LeafDiffersError, LookupError):
        # The page of a pledge is there also where the tree is damaged; the audit names the fault.
        is_broken = True
    return Card(
        entry,
        receipt,
        file_name(line.campaign_id, line.no, entry.kind),
        brought(receipt),
        inline_code(receipt),
        site.platform.transparency.log_key.encode(),
        f"{site.platform.settings.public_url}/receipts/check",
        is_broken,
    )


def brought(receipt: Receipt | None) -> str:
    """A receipt as a link brings it to the check: behind a #, where no server sees it, and only
    what is base64.
    """
    return urlsafe_b64encode(receipt.text.encode()).decode() if receipt else ""


def inline_code(receipt: Receipt | None) -> Markup | str:
    """The code to print; empty where there is no receipt, or it is too long for a code."""
    code = receipt.code if receipt else ""
    return Markup(code_svg(code, inline=True)) if code else ""  # noqa: S704 - our own drawing


@lru_cache(CODES_KEPT)
def code_svg(text: str, *, inline: bool = False) -> str:
    """A QR code of a text, at the lowest level of correction, which makes it the largest that can
    be read: paper is seldom torn, and the text is long.
    """
    drawn = segno.make(text, micro=False, error="l", boost_error=False)
    if inline:
        return drawn.svg_inline(
            border=4, light="#fff", svgclass="qr", lineclass=None, omitsize=True
        )
    written = io.BytesIO()
    drawn.save(written, kind="svg", scale=4, border=4, light="#fff")
    return written.getvalue().decode()


def check_command(file: str, key: str, witnesses: Sequence[str], quorum: int) -> str:
    """What is typed to check a receipt's file, against the log and those of its witnesses that
    have to sign; the page asks the same. `quorum` 0: nobody has to.
    """
    words = ["tributary", "receipt", "check", file, "--key", key]
    if quorum:
        words += [word for one in witnesses for word in ("--witness", one)]
        words += ["--quorum", str(quorum)] if quorum < len(witnesses) else []
    return shlex.join(words)
