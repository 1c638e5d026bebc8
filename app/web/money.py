"""Amounts and numbers as people read and type them: `¥80,000`, `R$1,234.50`, `$25 USD`.

The marks between digits are those of the page's language (Babel knows them), the decimals those
of the currency.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final

from babel import Locale
from babel.numbers import format_decimal, get_decimal_symbol

from app.web.language import current, gettext, locale
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

_BRIEF: Final = {
    "en": ((10**9, 10**9, "bn"), (10**6, 10**6, "M"), (10**4, 10**3, "k")),
    "zh-Hans": ((10**9, 10**8, "亿"), (10**5, 10**4, "万")),
}
"""From which amount on, in which unit, by which sign. Chinese counts in ten thousands."""

_SPACE: Final = "\N{NO-BREAK SPACE}"
_MINUS: Final = "\N{MINUS SIGN}"
_GROUPED: Final = re.compile(r"(?:\d{1,15}|\d{1,3}(?:,\d{3}){1,4})(?:\.\d*)?", re.ASCII).fullmatch
_COMMA: Final = re.compile(r"(\d{1,15}|\d{1,3}(?:\.\d{3}){1,4}),(\d{1,2})", re.ASCII).fullmatch
"""A decimal comma. With one or two digits behind it it cannot group thousands."""

_WIDE: Final = {0xFF01 + n: chr(0x21 + n) for n in range(94)} | {0xFFE5: "¥"}
"""What Chinese keyboards write in full width, by code point."""


def number(amount: int) -> str:
    """Write a number: `48,211`."""
    return _number(amount, locale())


@lru_cache(maxsize=8_192)
def _number(amount: int, where: Locale) -> str:
    return format_decimal(amount, locale=where)


def money(amount_minor: int, currency: str, *, coded: bool = False) -> str:
    """Write an amount with its symbol; whole amounts without decimals.

    `coded` adds the code to an ambiguous symbol, for pages with several currencies.
    """
    digits = EXPONENTS.get(currency, 0)
    whole, part = divmod(abs(amount_minor), 10**digits)
    figures = number(whole)
    if part:
        figures += f"{get_decimal_symbol(locale())}{part:0{digits}d}"
    sign = _MINUS if amount_minor < 0 else ""
    symbol = SYMBOLS.get(currency)
    if symbol is None:
        return f"{sign}{currency}{_SPACE}{figures}"
    code = f"{_SPACE}{currency}" if coded and symbol in AMBIGUOUS else ""
    return f"{sign}{symbol}{figures}{code}"


def rate(basis_points: int) -> str:
    """Write a rate given in basis points: `5 %`, `2.5 %`."""
    return f"{format_decimal(Decimal(basis_points) / 100, locale=locale())}{_SPACE}%"


def major(amount_minor: int, currency: str) -> str:
    """Write an amount as it would be typed: digits and a point, nothing else."""
    digits = EXPONENTS.get(currency, 0)
    whole, part = divmod(amount_minor, 10**digits)
    return f"{whole}.{part:0{digits}d}" if part else str(whole)


def parse_amount(typed: str, currency: str) -> int | None:
    """Read an amount typed in major units as minor units; None where it is none.

    Spaces, the symbol and the code are passed over. A comma groups thousands; it is a decimal
    comma where it cannot do that and the currency has as many decimals: `12,50`, `1.234,5`. What
    can be meant in two ways (`1,234` is read as it is written everywhere here, `1.234` is refused
    where the currency has two decimals) is not guessed at, nor are decimals that the currency
    lacks.
    """
    digits = EXPONENTS.get(currency, 0)
    text = typed.replace(" ", "").replace(_SPACE, "").translate(_WIDE)
    text = text.removeprefix(currency).removesuffix(currency).removesuffix("元")
    text = text.removeprefix(SYMBOLS.get(currency, ""))
    comma = _COMMA(text)
    if comma:
        text = f"{comma[1].replace('.', '')}.{comma[2]}"
    elif not _GROUPED(text):
        return None
    whole, _, part = text.replace(",", "").partition(".")
    if len(part.rstrip("0")) > digits:
        return None
    return int(whole + part[:digits].ljust(digits, "0"))


def amount_wanted(currency: str) -> str:
    """Say how an amount of this currency is typed, beside a field where none was understood."""
    if EXPONENTS.get(currency, 0):
        example = money(120_050 * 10 ** EXPONENTS[currency] // 100, currency)
        return gettext("Write the amount in figures, such as 25 or %(example)s.") % {
            "example": example
        }
    return gettext(
        "Write a whole amount in figures, such as 2500: %(currency)s has no decimals."
    ) % {"currency": currency}


def brief(amount_minor: int, currency: str) -> str:
    """Write a round amount for a place where there is little room: `¥80k`, `R$1.5M`."""
    unit = 10 ** EXPONENTS.get(currency, 0)
    for least, size, sign in _BRIEF[current()]:
        if amount_minor >= least * unit:
            whole, tenth = divmod(amount_minor * 10 // (size * unit), 10)
            figures = (
                f"{number(whole)}{get_decimal_symbol(locale())}{tenth}" if tenth else number(whole)
            )
            return money(0, currency).replace("0", f"{figures}{sign}")
    return money(amount_minor, currency)
