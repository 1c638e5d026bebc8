"""The test bank's own pages: where a card is given, a payment confirmed, a dispute decided.

They stand for another firm's site, so they share no layout with Tributary and read nothing of it.
Every form carries a token that only the bank can make for that session, payment or dispute; the
merchant's CSRF check is therefore not asked (`exclude_from_csrf`). What is typed as a card number
is neither kept nor written back to the page.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect, Template
from litestar.status_codes import (
    HTTP_303_SEE_OTHER,
    HTTP_409_CONFLICT,
    HTTP_422_UNPROCESSABLE_ENTITY,
)

from app.payments.test_bank.backroom import PAGES_PATH, CardRefusedError, DisputeError, Session
from app.payments.test_bank.bank import Bank
from app.payments.test_bank.cards import MAGIC_CARDS
from domain.money import format_minor

OUR_FORM = {"exclude_from_csrf": True}


class CardForm(msgspec.Struct, forbid_unknown_fields=True):
    """A chosen test card, or a number typed instead of it."""

    token: str = ""
    card: str = ""
    number: str = ""


class ConfirmForm(msgspec.Struct, forbid_unknown_fields=True):
    """The card holder's answer to one payment."""

    decision: Literal["approve", "refuse"]
    token: str = ""


class DisputeForm(msgspec.Struct, forbid_unknown_fields=True):
    """For whom the bank decides a dispute."""

    decision: Literal["won", "lost"]
    token: str = ""


def now_ms() -> int:
    """The wall clock, in milliseconds UTC."""
    return time.time_ns() // 1_000_000


def test_bank_router(
    bank: Bank,
    *,
    clock: Callable[[], int] = now_ms,  # noqa: PT028 - not a test, only named like one
    static_path: str = "/static",  # noqa: PT028 - the same
    with_disputes: bool = True,  # noqa: PT028 - the same
) -> Router:
    """The pages of this bank, under `/test-bank`.

    The application must know the templates directory. `static_path` is where it serves
    `test_bank.css`; `clock` gives milliseconds UTC. Deciding disputes asks nobody to sign in:
    leave it out (`with_disputes`) where strangers come.
    """
    disputes = [list_disputes, take_decision] if with_disputes else []

    def at() -> int:
        return clock()  # a function, as Litestar copies a callable object it is handed

    return Router(
        path=PAGES_PATH,
        route_handlers=[
            show_payment,
            take_card,
            show_confirmation,
            take_confirmation,
            *disputes,
        ],
        dependencies={
            "bank": Provide(lambda: bank, sync_to_thread=False),
            "at": Provide(at, sync_to_thread=False),
            "stylesheet": Provide(lambda: f"{static_path}/test_bank.css", sync_to_thread=False),
        },
        response_headers={
            "Cache-Control": "no-store",
            "Referrer-Policy": "same-origin",
            "X-Robots-Tag": "noindex",
        },
        include_in_schema=False,
    )


@get("/pay/{session_id:str}", sync_to_thread=True)
def show_payment(
    session_id: FromPath[str], bank: NamedDependency[Bank], stylesheet: NamedDependency[str]
) -> Response[Any]:
    """The hosted payment page; where a card was given before, straight back to the merchant."""
    session = _session(bank, session_id)
    if session.method_id is not None:
        return _back(session, session.method_id)
    return _payment_page(bank, session, stylesheet)


@post("/pay/{session_id:str}", opt=OUR_FORM, sync_to_thread=True)
def take_card(
    session_id: FromPath[str],
    data: URLEncodedBody[CardForm],
    bank: NamedDependency[Bank],
    at: NamedDependency[int],
    stylesheet: NamedDependency[str],
) -> Response[Any]:
    """Take the card and go back to the merchant; a refused one is said on the page."""
    session = _session(bank, session_id)
    _check_token(bank, "pay", session.id, data.token)
    try:
        method_id = bank.give_card(session, data.number.strip() or data.card, at)
    except CardRefusedError as error:
        return _payment_page(
            bank,
            session,
            stylesheet,
            refusal=str(error),
            status_code=HTTP_422_UNPROCESSABLE_ENTITY,
        )
    return _back(session, method_id)


@get("/confirm/{token:str}", sync_to_thread=True)
def show_confirmation(
    token: FromPath[str],
    bank: NamedDependency[Bank],
    at: NamedDependency[int],
    stylesheet: NamedDependency[str],
) -> Template:
    """Ask the card holder to confirm one payment, or say what became of it."""
    operation = bank.to_confirm(token)
    if operation is None:
        raise NotFoundException("There is no such payment.")
    waiting = operation.state == "action_required" and at < operation.expires_at
    return Template(
        "test_bank/confirm.html",
        context={
            "stylesheet": stylesheet,
            "amount": format_minor(operation.amount_minor, operation.currency),
            "waiting": waiting,
            "confirmed": operation.state == "succeeded",
            "return_path": operation.return_path,
            "token": bank.form_token("confirm", token),
        },
    )


@post("/confirm/{token:str}", opt=OUR_FORM, sync_to_thread=True)
def take_confirmation(
    token: FromPath[str],
    data: URLEncodedBody[ConfirmForm],
    bank: NamedDependency[Bank],
    at: NamedDependency[int],
) -> Redirect:
    """Take the card holder's answer, then go back to the merchant or to what became of it."""
    operation = bank.to_confirm(token)
    if operation is None:
        raise NotFoundException("There is no such payment.")
    _check_token(bank, "confirm", token, data.token)
    bank.confirm(operation, at, approved=data.decision == "approve")
    return Redirect(
        operation.return_path or f"{PAGES_PATH}/confirm/{token}", status_code=HTTP_303_SEE_OTHER
    )


@get("/disputes", sync_to_thread=True)
def list_disputes(bank: NamedDependency[Bank], stylesheet: NamedDependency[str]) -> Template:
    """Every dispute, and a form to decide those that are open."""
    return _disputes_page(bank, stylesheet)


@post("/disputes/{dispute_id:str}", opt=OUR_FORM, sync_to_thread=True)
def take_decision(
    dispute_id: FromPath[str],
    data: URLEncodedBody[DisputeForm],
    bank: NamedDependency[Bank],
    at: NamedDependency[int],
    stylesheet: NamedDependency[str],
) -> Response[Any]:
    """Decide one dispute."""
    _check_token(bank, "dispute", dispute_id, data.token)
    try:
        bank.decide_dispute(dispute_id, at, won=data.decision == "won")
    except DisputeError as error:
        return _disputes_page(bank, stylesheet, refusal=str(error), status_code=HTTP_409_CONFLICT)
    return Redirect(f"{PAGES_PATH}/disputes", status_code=HTTP_303_SEE_OTHER)


def _session(bank: Bank, session_id: str) -> Session:
    session = bank.session(session_id)
    if session is None:
        raise NotFoundException("There is no such payment.")
    return session


def _check_token(bank: Bank, purpose: str, subject: str, given: str) -> None:
    expected = bank.form_token(purpose, subject)
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise PermissionDeniedException("This form was not made by this page. Load it again.")


def _back(session: Session, method_id: str) -> Redirect:
    joint = "&" if "?" in session.return_path else "?"
    query = urlencode({"method": method_id})
    return Redirect(f"{session.return_path}{joint}{query}", status_code=HTTP_303_SEE_OTHER)


def _payment_page(
    bank: Bank, session: Session, stylesheet: str, *, refusal: str = "", status_code: int = 200
) -> Template:
    return Template(
        "test_bank/pay.html",
        context={
            "stylesheet": stylesheet,
            "description": session.description,
            "cards": MAGIC_CARDS,
            "refusal": refusal,
            "token": bank.form_token("pay", session.id),
        },
        status_code=status_code,
    )


def _disputes_page(
    bank: Bank, stylesheet: str, *, refusal: str = "", status_code: int = 200
) -> Template:
    return Template(
        "test_bank/disputes.html",
        context={
            "stylesheet": stylesheet,
            "refusal": refusal,
            "disputes": [
                {
                    "id": dispute.dispute_id,
                    "state": dispute.state,
                    "payment": collected.reference,
                    "amount": format_minor(dispute.amount_minor, collected.currency),
                    "token": bank.form_token("dispute", dispute.dispute_id),
                }
                for dispute, collected in bank.disputes()
            ],
        },
        status_code=status_code,
    )
