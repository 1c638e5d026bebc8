"""How accounts, amounts and days are written for programs of plain-text accounting.

Amounts are made from integers, digit by digit; no float and no rounding is on the way.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from app.audit import wording
from app.audit.reader import CannotAudit
from domain.ids import is_code, is_id
from domain.money import EXPONENTS, format_minor
from projections.facts import day_of, iso_day

_WORD: Final = re.compile(r"[A-Z][A-Za-z0-9]*").fullmatch
_CAMPAIGN: Final = "C-"
_PROVIDER: Final = "P-"


@lru_cache(maxsize=65_536)
def tool_name(account: str) -> str:
    """An account's name as Beancount and hledger both take it.

    There each part of a name begins with a capital and holds letters, digits and hyphens. So a
    campaign's id is written `C-<id>`, a provider's code `P-<code>` with hyphens for its
    underscores, and all other parts as they are. Raises CannotAudit for a name that no rule of the
    books makes.
    """
    return ":".join(_part(part, account) for part in account.split(":"))


def _part(part: str, account: str) -> str:
    if _WORD(part):
        return part
    if is_id(part):
        return _CAMPAIGN + part
    if is_code(part):
        return _PROVIDER + part.replace("_", "-")
    raise CannotAudit(f"The account {account!r} has a part that is no word, id or code: {part!r}.")


def book_name(account: str) -> str:
    """The name in our books of what `tool_name` wrote."""
    return ":".join(_own(part) for part in account.split(":"))


def _own(part: str) -> str:
    if part.startswith(_PROVIDER):
        return part.removeprefix(_PROVIDER).replace("-", "_")
    return part.removeprefix(_CAMPAIGN)


@lru_cache(maxsize=65_536)
def decimal_text(amount_minor: int, currency: str) -> str:
    """An amount with all digits of its currency: `-12.50`, `80000` (JPY), `1.250` (KWD).

    Raises CannotAudit where there is no such currency.
    """
    _require(currency)
    return format_minor(amount_minor, currency).removeprefix(f"{currency} ")


def digits_of(currency: str) -> int:
    """Digits after the decimal point; raises CannotAudit where there is no such currency."""
    _require(currency)
    return EXPONENTS[currency]


def _require(currency: str) -> None:
    if currency not in EXPONENTS:
        raise CannotAudit(f"There is no currency {currency!r}: `audit replay` tells more.")


def day_text(at: int) -> str:
    """The UTC day of a time in ms: `2026-05-03`. Raises CannotAudit where the calendar ends."""
    return _day_text(day_of(at))


@lru_cache(maxsize=4_096)
def _day_text(day: int) -> str:
    try:
        return iso_day(day)
    except (OverflowError, ValueError) as fault:
        raise CannotAudit(f"Day {day:,} after 1970 is in no calendar.") from fault


time_text: Final = lru_cache(maxsize=4_096)(wording.time_text)
"""A time in ms as ISO 8601 with milliseconds, UTC: `2026-05-03T10:00:00.000Z`."""
