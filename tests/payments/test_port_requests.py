"""What cannot even be asked of a provider."""

from __future__ import annotations

import pytest

from app.payments.port import (
    CollectRequest,
    PayOutRequest,
    PrepareMethod,
    RefundRequest,
    check_request,
)
from tests.payments.asking import AT


@pytest.mark.parametrize("amount_minor", [0, -1, 10**12 + 1, True, 1.0])
def test_an_amount_is_a_whole_number_in_its_bounds(amount_minor: int) -> None:
    """Nothing but an int from 1 to 10¹² can be asked for, in any kind of request."""
    with pytest.raises(ValueError, match="amount"):
        CollectRequest(key="k", method_id="m", amount_minor=amount_minor, currency="BRL", at=AT)
    with pytest.raises(ValueError, match="amount"):
        RefundRequest(key="k", collect_key="c", amount_minor=amount_minor, currency="BRL", at=AT)
    with pytest.raises(ValueError, match="amount"):
        PayOutRequest(key="k", account="a", amount_minor=amount_minor, currency="BRL", at=AT)


@pytest.mark.parametrize("currency", ["", "BR", "brl", "BRLX", "B1L", "ÀÉÎ"])
def test_a_currency_is_three_capital_letters(currency: str) -> None:
    """A malformed currency is refused before the provider sees it."""
    with pytest.raises(ValueError, match="currency"):
        check_request("k", 1, currency)


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_is_neither_empty_nor_long(key: str) -> None:
    """A key that could not identify, or that a provider would cut off, is refused."""
    with pytest.raises(ValueError, match="key"):
        check_request(key, 1, "BRL")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "back",
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "/\t/elsewhere.example",
        "/a\nb",
        "/a#b",
        "javascript:alert(1)",
    ],
)
def test_a_return_path_stays_on_our_origin(path: str) -> None:
    """Nobody can be sent to another site through the provider's page."""
    with pytest.raises(ValueError, match="return path"):
        PrepareMethod(reference="p", description="d", return_path=path, at=AT)
