"""Amounts as people read and type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.language import speaking
from app.web.money import amount_wanted, brief, major, money, parse_amount
from domain.money import EXPONENTS


@pytest.mark.parametrize(
    ("amount_minor", "currency", "written"),
    [
        (80_000, "JPY", "¥80,000"),
        (8_000_000, "CNY", "¥80,000"),
        (123_450, "BRL", "R$1,234.50"),
        (356_5, "EUR", "€35.65"),
        (1_500, "KWD", "KWD\N{NO-BREAK SPACE}1.500"),
        (-500, "USD", "\N{MINUS SIGN}$5"),
        (0, "CNY", "¥0"),
    ],
)
def test_written(amount_minor: int, currency: str, written: str) -> None:
    """Symbols where readers know them, codes elsewhere, decimals only where there are any."""
    assert money(amount_minor, currency) == written


def test_an_ambiguous_symbol_gets_its_code_where_currencies_meet() -> None:
    """Yuan and yen share a symbol: among others the code stands beside it; the euro needs none."""
    assert money(100, "CNY", coded=True) == "¥1\N{NO-BREAK SPACE}CNY"
    assert money(100, "EUR", coded=True) == "€1"


@pytest.mark.parametrize(
    ("typed", "currency", "amount_minor"),
    [
        ("25", "CNY", 2_500),
        ("25.5", "CNY", 2_550),
        ("1,234.50", "EUR", 123_450),
        ("¥ 80,000", "JPY", 80_000),
        ("25.000", "JPY", 25),
        ("1.234", "KWD", 1_234),
        ("12,50", "CNY", 1_250),
        ("12,5", "EUR", 1_250),
        ("1.234,50", "EUR", 123_450),
        ("12,50", "KWD", 12_500),
        ("\uff11\uff12\uff0e\uff15", "CNY", 1_250),
        ("\uffe5120", "CNY", 12_000),
        ("120元", "CNY", 12_000),
    ],
)
def test_typed(typed: str, currency: str, amount_minor: int) -> None:
    """What people type is read as minor units."""
    assert parse_amount(typed, currency) == amount_minor


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "abc",
        "-5",
        "25,5,0",
        "1e5",
        "\u0665\u0660",
        "1.234",
        "5 5x",
        "1,23,456",
        "9" * 40,
        "1.23,50",
        "5²",
    ],
)
def test_not_an_amount(typed: str) -> None:
    """What could be meant in two ways, or is none, is not guessed at."""
    assert parse_amount(typed, "CNY") is None


def test_a_comma_never_makes_decimals_that_a_currency_lacks() -> None:
    """Yen have none: half a yen is a slip, and a thousand stays a thousand."""
    assert parse_amount("12,5", "JPY") is None
    assert parse_amount("1,234", "JPY") == 1_234


def test_an_error_says_what_to_type() -> None:
    """The example fits the currency, in both languages."""
    assert amount_wanted("CNY") == "Write the amount in figures, such as 25 or ¥1,200.50."
    assert "no decimals" in amount_wanted("JPY")
    with speaking("zh-Hans"):
        assert "¥1,200.50" in amount_wanted("CNY")
        assert amount_wanted("JPY").startswith("请")


@pytest.mark.parametrize(
    ("amount_minor", "currency", "written"),
    [
        (8_000_000, "CNY", "¥80,000"),
        (123_450, "BRL", "R$1,234.50"),
        (1_500, "KWD", "KWD\N{NO-BREAK SPACE}1.500"),
        (-500, "USD", "\N{MINUS SIGN}$5"),
    ],
)
def test_written_in_chinese(amount_minor: int, currency: str, written: str) -> None:
    """Chinese groups thousands and marks decimals as English does, symbols included."""
    with speaking("zh-Hans"):
        assert money(amount_minor, currency) == written


def test_chinese_is_brief_in_ten_thousands() -> None:
    """An axis says 15万, not 150k."""
    with speaking("zh-Hans"):
        assert brief(15_000_000, "CNY") == "¥15万"
        assert brief(125_000_000_000, "CNY") == "¥12.5亿"
        assert brief(200_000, "CNY") == "¥2,000"


@given(st.integers(0, 10**12), st.sampled_from(sorted(EXPONENTS)))
def test_what_is_written_can_be_typed(amount_minor: int, currency: str) -> None:
    """Reading what was written gives the same amount."""
    assert parse_amount(major(amount_minor, currency), currency) == amount_minor
    assert parse_amount(money(amount_minor, currency), currency) == amount_minor


@pytest.mark.parametrize(
    ("amount_minor", "written"),
    [(8_000_000, "¥80k"), (150_000_000, "¥1.5M"), (200_000, "¥2,000"), (0, "¥0")],
)
def test_brief(amount_minor: int, written: str) -> None:
    """Axes have little room."""
    assert brief(amount_minor, "CNY") == written
