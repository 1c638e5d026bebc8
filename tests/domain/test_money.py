"""Money: whole minor units, the digits of ISO 4217, and the only two roundings there are."""

from __future__ import annotations

import csv
import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.checks import recount
from domain.money import (
    EXPONENTS,
    MAX_AMOUNT_MINOR,
    fee_minor,
    format_minor,
    is_amount,
    share_minor,
)
from domain.terms import MAX_FEES_BPS, Terms

AMOUNTS = st.integers(1, MAX_AMOUNT_MINOR)
RATES = st.integers(0, 10_000)


def shared_data() -> Path:
    """The folder of shared data files; without one the test says so and is skipped."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("TRIBUTARY_SHARED_DATA", beside))
    if not (folder / "iso4217" / "codes-all.csv").exists():
        pytest.skip("no shared data: set TRIBUTARY_SHARED_DATA to compare with ISO 4217")
    return folder


def published_digits() -> dict[str, int]:
    """Digits by code of the currencies that ISO 4217 lists and has not withdrawn."""
    with (shared_data() / "iso4217" / "codes-all.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["WithdrawalDate"]]
    return {
        row["AlphabeticCode"]: int(row["MinorUnit"])
        for row in rows
        if row["AlphabeticCode"] and row["MinorUnit"].isdigit()
    }


def test_every_currency_has_the_published_digits() -> None:
    """The digits of each currency are those of ISO 4217."""
    published = published_digits()
    assert len(EXPONENTS) > 150
    assert {code: published.get(code) for code in EXPONENTS} == EXPONENTS


def test_no_currency_in_use_is_missing() -> None:
    """What is left out of ISO 4217 are funds and bond units, no money that people pay with."""
    funds = {"BOV", "CHE", "CHW", "COU", "MXV", "USN", "XSU"}
    assert set(published_digits()) - set(EXPONENTS) <= funds


def test_digits_of_well_known_currencies() -> None:
    """Yen have no minor unit, dinars three digits; this needs no shared file."""
    assert [EXPONENTS[code] for code in ("JPY", "CNY", "BRL", "EUR", "KWD", "CLF")] == [
        *(0, 2, 2, 2, 3, 4)
    ]
    assert "XAU" not in EXPONENTS


@pytest.mark.parametrize(
    ("amount_minor", "rate_bps", "expected"),
    [
        (10, 500, 0),  # 0.5, to the even 0
        (30, 500, 2),  # 1.5, to the even 2
        (50, 500, 2),  # 2.5, to the even 2
        (70, 500, 4),  # 3.5, to the even 4
        (11, 500, 1),  # 0.55
        (9, 500, 0),  # 0.45
        (1, 5_000, 0),  # 0.5
        (3, 5_000, 2),  # 1.5
        (MAX_AMOUNT_MINOR, 10_000, MAX_AMOUNT_MINOR),
        (12_345, 0, 0),
    ],
)
def test_a_fee_is_rounded_half_to_even(amount_minor: int, rate_bps: int, expected: int) -> None:
    """A half goes to the even neighbour; no cent is made or lost over many pledges."""
    assert fee_minor(amount_minor, rate_bps) == expected


@given(AMOUNTS, RATES)
def test_a_fee_is_the_exact_fraction_rounded_half_to_even(amount: int, rate: int) -> None:
    """Both roundings, the domain's and the auditor's, are that of exact fractions."""
    exact = round(Fraction(amount * rate, 10_000))
    assert fee_minor(amount, rate) == exact
    assert recount.fee(amount, rate) == exact


@given(AMOUNTS, st.integers(0, MAX_FEES_BPS), st.data())
def test_two_fees_never_take_more_than_was_collected(
    amount: int, platform: int, data: st.DataObject
) -> None:
    """With rates of at most half together, platform and processing fee fit into any amount."""
    processing = data.draw(st.integers(0, MAX_FEES_BPS - platform))
    terms = Terms(platform_fee_bps=platform, processing_fee_bps=processing)
    assert terms.faults("all_or_nothing") == []
    assert sum(recount.fees(amount, terms)) <= amount
    assert sum(recount.fees(min(amount, 3), terms)) <= min(amount, 3)


@given(AMOUNTS, st.integers(1, 10_000), st.data())
def test_a_share_is_rounded_down(amount: int, denominator: int, data: st.DataObject) -> None:
    """A share is never more than the exact fraction, and less by under one minor unit."""
    numerator = data.draw(st.integers(0, denominator))
    exact = Fraction(amount * numerator, denominator)
    assert 0 <= exact - share_minor(amount, numerator, denominator) < 1


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT_MINOR + 1, 1.0, 100.5, True, "1", None])
def test_what_is_no_amount(amount: object) -> None:
    """Amounts are whole numbers from 1 to 10^12, not floats, texts or truths."""
    assert not is_amount(amount)  # type: ignore[arg-type] # just that is asked


@given(AMOUNTS)
def test_what_is_an_amount(amount: int) -> None:
    """Every whole number of the range is one."""
    assert is_amount(amount)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "written"),
    [
        (123_450, "BRL", "BRL 1234.50"),
        (80_000, "JPY", "JPY 80000"),
        (1_234, "KWD", "KWD 1.234"),
        (5, "EUR", "EUR 0.05"),
        (-5, "EUR", "EUR -0.05"),
        (-123_450, "CNY", "CNY -1234.50"),
        (0, "USD", "USD 0.00"),
    ],
)
def test_amounts_are_written_with_their_digits(
    amount_minor: int, currency: str, written: str
) -> None:
    """An amount is written with its code and its currency's digits."""
    assert format_minor(amount_minor, currency) == written
