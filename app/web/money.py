"""Amounts as people read and type them: `¥80,000`, `R$1,234.50`, `$25 USD`."""

from __future__ import annotations

import re
from typing import Final

from domain.money import EXPONENTS

SYMBOLS: Final = {
    "AUD": "$",
    "BRL": "R$",
    "CAD": "$",
    "CNY": "¥",
    "EUR": "€",
    "GBP": "£",
    "HKD": "$",
    "INR": "₹",
    "JPY": "¥",
    "KRW": "₩",
    "MXN": "$",
    "NZD": "$",
    "PHP": "₱",
    "SGD": "$",
    "TWD": "$",
    "USD": "$",
    "VND": "₫",
}
"""The symbols that readers know; every other currency is written with its code."""

AMBIGUOUS: Final = frozenset("$¥")
"""Symbols that several currencies share: among different currencies the code stands beside."""

_BRIEF: Final = ((10**9, 10**9, "bn"), (10**6, 10**6, "M"), (10**4, 10**3, "k"))
"""From which amount on, in which unit, by which letter."""

_SPACE: Final = "\N{NO-BREAK SPACE}"
_MINUS: Final = "\N{MINUS SIGN}"
_TYPED: Final = re.compile(r"(?:\d{1,15}|\d{1,3}(?:,\d{3}){1,4})(?:\.\d*)?", re.ASCII).fullmatch


def money(amount_minor: int, currency: str, *, coded: bool = False) -> str:
    """Write an amount with its symbol; whole amounts without decimals.

    `coded` adds the code to an ambiguous symbol, for pages with several currencies.
    """
    digits = EXPONENTS.get(currency, 0)
    whole, part = divmod(abs(amount_minor), 10**digits)
    figures = f"{whole:,}" + (f".{part:0{digits}d}" if part else "")
    sign = _MINUS if amount_minor < 0 else ""
    symbol = SYMBOLS.get(currency)
    if symbol is None:
        return f"{sign}{currency}{_SPACE}{figures}"
    code = f"{_SPACE}{currency}" if coded and symbol in AMBIGUOUS else ""
    return f"{sign}{symbol}{figures}{code}"


def major(amount_minor: int, currency: str) -> str:
    """Write an amount as it would be typed: digits and a point, nothing else."""
    digits = EXPONENTS.get(currency, 0)
    whole, part = divmod(amount_minor, 10**digits)
    return f"{whole}.{part:0{digits}d}" if part else str(whole)


def parse_amount(typed: str, currency: str) -> int | None:
    """Read an amount typed in major units as minor units; None where it is none.

    Spaces, the symbol and the code are passed over. A comma only groups thousands: what might be
    a decimal comma (`25,50`) is not guessed at, and decimals that the currency lacks are refused.
    """
    digits = EXPONENTS.get(currency, 0)
    text = typed.replace(" ", "").replace(_SPACE, "")
    text = text.removeprefix(currency).removesuffix(currency)
    text = text.removeprefix(SYMBOLS.get(currency, ""))
    if not _TYPED(text):
        return None
    whole, _, part = text.replace(",", "").partition(".")
    if len(part.rstrip("0")) > digits:
        return None
    return int(whole + part[:digits].ljust(digits, "0"))


def brief(amount_minor: int, currency: str) -> str:
    """Write a round amount for a place where there is little room: `¥80k`, `R$1.5M`."""
    unit = 10 ** EXPONENTS.get(currency, 0)
    for least, size, letter in _BRIEF:
        if amount_minor >= least * unit:
            whole, tenth = divmod(amount_minor * 10 // (size * unit), 10)
            figures = f"{whole:,}.{tenth}" if tenth else f"{whole:,}"
            return money(0, currency).replace("0", f"{figures}{letter}")
    return money(amount_minor, currency)
