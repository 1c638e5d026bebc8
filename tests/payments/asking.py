"""Requests as the payment tests make them: short to write, every field overridable."""

from __future__ import annotations

from app.payments.port import (
    CollectRequest,
    Outcome,
    PaymentProvider,
    PayOutRequest,
    RefundRequest,
)

AT = 1_700_000_000_000


def collect(
    provider: PaymentProvider,
    key: str,
    method_id: str,
    amount_minor: int = 10_000,
    currency: str = "BRL",
    at: int = AT,
) -> Outcome:
    """Collect once and return the outcome."""
    (outcome,) = provider.collect_many(
        [
            CollectRequest(
                key=key, method_id=method_id, amount_minor=amount_minor, currency=currency, at=at
            )
        ]
    )
    return outcome


def refund(
    provider: PaymentProvider,
    key: str,
    collect_key: str,
    amount_minor: int = 10_000,
    currency: str = "BRL",
    at: int = AT,
) -> Outcome:
    """Refund once and return the outcome."""
    (outcome,) = provider.refund_many(
        [
            RefundRequest(
                key=key,
                collect_key=collect_key,
                amount_minor=amount_minor,
                currency=currency,
                at=at,
            )
        ]
    )
    return outcome


def pay_out(
    provider: PaymentProvider,
    key: str,
    account: str = "account-1",
    amount_minor: int = 10_000,
    currency: str = "BRL",
    at: int = AT,
) -> Outcome:
    """Pay out once and return the outcome."""
    (outcome,) = provider.pay_out_many(
        [
            PayOutRequest(
                key=key, account=account, amount_minor=amount_minor, currency=currency, at=at
            )
        ]
    )
    return outcome
