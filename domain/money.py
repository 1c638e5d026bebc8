"""Money as integers of a currency's minor unit (ISO 4217).

No float ever holds money. The only roundings are a fee (half to even, per pledge) and a
payout share (down, per pledge).
"""

from __future__ import annotations

from typing import Final

MAX_AMOUNT_MINOR: Final = 10**12
"""Largest single amount, in minor units (rule 1)."""

BASIS_POINTS: Final = 10_000
"""One whole, in basis points."""

_DIGITS_0 = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_DIGITS_3 = "BHD IQD JOD KWD LYD OMR TND"
_DIGITS_4 = "CLF UYW"
_DIGITS_2 = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD "
    "HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA "
    "MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN "
    "QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP "
    "TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)

EXPONENTS: Final[dict[str, int]] = {
    code: digits
    for digits, codes in ((0, _DIGITS_0), (2, _DIGITS_2), (3, _DIGITS_3), (4, _DIGITS_4))
    for code in codes.split()
}
"""Digits after the decimal point by ISO 4217 code; money currencies only (no metals, no funds
but CLF, UYI and UYW, which are units of account that contracts are written in)."""


def is_amount(amount_minor: int) -> bool:
    """Whether this is an amount that may be pledged, collected or paid (rule 1)."""
    return type(amount_minor) is int and 1 <= amount_minor <= MAX_AMOUNT_MINOR


def fee_minor(amount_minor: int, rate_bps: int) -> int:
    """Return the rate's part of an amount in minor units, rounded half to even.

    `rate_bps` is in basis points: 250 is 2.5 %.
    """
    whole, rest = divmod(amount_minor * rate_bps, BASIS_POINTS)
    if rest * 2 > BASIS_POINTS or (rest * 2 == BASIS_POINTS and whole & 1):
        return whole + 1
    return whole


def share_minor(amount_minor: int, numerator: int, denominator: int) -> int:
    """Return numerator / denominator of an amount in minor units, rounded down."""
    return amount_minor * numerator // denominator


def format_minor(amount_minor: int, currency: str) -> str:
    """Write an amount with its code and its currency's digits: `BRL 1234.50`, `JPY 80000`."""
    digits = EXPONENTS[currency]
    sign = "-" if amount_minor < 0 else ""
    whole, part = divmod(abs(amount_minor), 10**digits)
    decimals = f".{part:0{digits}d}" if digits else ""
    return f"{currency} {sign}{whole}{decimals}"
