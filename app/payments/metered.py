"""A payment provider whose calls are counted and timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from app.payments.port import (
    CollectRequest,
    Method,
    Notification,
    Outcome,
    PaymentProvider,
    PayOutRequest,
    PreparedMethod,
    PrepareMethod,
    RefundRequest,
    StatementLine,
)

T = TypeVar("T")


class Meter(Protocol):
    """Who counts."""

    def called(self, kind: str, seconds: float, results: Sequence[str]) -> None:
        """A call ended; `results` has a word for each request in it."""


class MeteredProvider:
    """Passes everything on, and tells the meter of each call: what, how long, what came of it."""

    def __init__(self, provider: PaymentProvider, meter: Meter) -> None:
        self._provider = provider
        self._meter = meter

    @property
    def name(self) -> str:
        """As the provider says; so are the next two."""
        return self._provider.name

    @property
    def supports_later_collection(self) -> bool:
        """See the port."""
        return self._provider.supports_later_collection

    @property
    def supports_partial_refund(self) -> bool:
        """See the port."""
        return self._provider.supports_partial_refund

    def accepts_currency(self, currency: str) -> bool:
        """See the port: asks nobody outside."""
        return self._provider.accepts_currency(currency)

    def prepare_method(self, request: PrepareMethod) -> PreparedMethod:
        """See the port."""
        return self._one("prepare_method", lambda: self._provider.prepare_method(request))

    def method_of(self, session: str) -> Method | None:
        """See the port."""
        return self._one("method_of", lambda: self._provider.method_of(session))

    def collect_many(self, requests: Sequence[CollectRequest]) -> list[Outcome]:
        """See the port."""
        return self._many("collect", lambda: self._provider.collect_many(requests))

    def refund_many(self, requests: Sequence[RefundRequest]) -> list[Outcome]:
        """See the port."""
        return self._many("refund", lambda: self._provider.refund_many(requests))

    def pay_out_many(self, requests: Sequence[PayOutRequest]) -> list[Outcome]:
        """See the port."""
        return self._many("pay_out", lambda: self._provider.pay_out_many(requests))

    def cancel(self, key: str, at: int) -> Outcome | None:
        """See the port."""
        return self._one("cancel", lambda: self._provider.cancel(key, at))

    def look_up(self, key: str) -> Outcome | None:
        """See the port."""
        return self._one("look_up", lambda: self._provider.look_up(key))

    def parse_notification(self, headers: Mapping[str, str], body: bytes) -> list[Notification]:
        """See the port: checked here, so nothing is asked."""
        return self._provider.parse_notification(headers, body)

    def statement(self, after: int, limit: int) -> list[StatementLine]:
        """See the port."""
        return self._one("statement", lambda: self._provider.statement(after, limit))

    def _one(self, kind: str, call: Callable[[], T]) -> T:
        return self._timed(kind, call, lambda answer: [_word(answer)])

    def _many(self, kind: str, call: Callable[[], list[Outcome]]) -> list[Outcome]:
        return self._timed(kind, call, lambda answers: [_word(answer) for answer in answers])

    def _timed(self, kind: str, call: Callable[[], T], words: Callable[[T], list[str]]) -> T:
        began = time.perf_counter()
        try:
            answer = call()
        except BaseException:
            self._meter.called(kind, time.perf_counter() - began, ["error"])
            raise
        self._meter.called(kind, time.perf_counter() - began, words(answer))
        return answer


def _word(answer: object) -> str:
    """`succeeded`, `declined`, …; `none` for no answer, `ok` for what is no outcome."""
    if answer is None:
        return "none"
    config = getattr(type(answer), "__struct_config__", None)
    return str(config.tag) if config is not None and config.tag is not None else "ok"
