"""The test bank's own pages: where a card is given, a payment confirmed, a dispute decided.

They stand for another firm's site, so they share no layout with Tributary; what they ask of it is
whether a card may be tried (`CardWatch`), as firms of this kind ask their merchants. Every form
carries a token that only the bank can make for that session, payment or dispute; the merchant's
CSRF check is therefore not asked (`exclude_from_csrf`). What is typed as a card number is neither
kept nor written back to the page. A cookie of the bank's own stands for the wallet in which a
browser's cards are: without it everybody would have the same eleven cards.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, Literal, Protocol, runtime_checkable
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect, Template
from litestar.status_codes import (
    HTTP_303_SEE_OTHER,
    HTTP_409_CONFLICT,
    HTTP_422_UNPROCESSABLE_ENTITY,
    HTTP_429_TOO_MANY_REQUESTS,
)

from app.payments.test_bank.backroom import PAGES_PATH, CardRefusedError, DisputeError, Session
from app.payments.test_bank.bank import Bank
from app.payments.test_bank.cards import MAGIC_CARDS, Behaviour
from app.web.language import gettext, translatable
from domain.money import format_minor

OUR_FORM = {"exclude_from_csrf": True}
WALLET: Final = "test_bank_wallet"
"""The cookie that stands for a browser's wallet."""

_LONGEST_WALLET: Final = 64
_WALLET_AGE_S: Final = 365 * 86_400

LABELS: Final[dict[Behaviour, str]] = {
    "success": translatable("Payment works"),
    "decline": translatable("Declined at once"),
    "insufficient_funds": translatable("Not enough money at first, enough at the second try"),
    "needs_confirmation": translatable("Asks you to confirm each payment"),
    "declines_later": translatable("Accepted now, declined at every charge"),
    "lost_later": translatable("Accepted now, reported lost before the charge"),
    "timeout": translatable("Payment works, but the bank's answer is lost"),
    "duplicate_notifications": translatable(
        "Payment works, the news arrives twice and out of order"
    ),
    "dispute": translatable("Payment works, then the card holder disputes it"),
    "slow": translatable("Payment and refund take a while"),
    "refund_fails": translatable("Payment works, refunds are refused"),
}
"""How the page names each card: by what happens with it."""

BankRequest = Request[Any, Any, Any]


@runtime_checkable
class CardWatch(Protocol):
    """The merchant's word on who may try a card. `reference` is what a visit was opened for."""

    def alone(self, reference: str, request: BankRequest) -> AbstractAsyncContextManager[None]:
        """Wait until nobody else tries a card whose try counts for this one, too."""

    async def is_open(self, reference: str, request: BankRequest) -> bool:
        """Whether a card may be tried."""

    async def tried(
        self, reference: str, request: BankRequest, fingerprint: str, *, declined: bool
    ) -> None:
        """A card was taken or declined."""


class NoWatch:
    """A merchant who lets everybody try."""

    def alone(
        self,
        reference: str,  # noqa: ARG002 - as the others want it
        request: BankRequest,  # noqa: ARG002 - the same
    ) -> AbstractAsyncContextManager[None]:
        """At any time."""
        return nullcontext()

    async def is_open(self, reference: str, request: BankRequest) -> bool:  # noqa: ARG002
        """Always."""
        return True

    async def tried(
        self, reference: str, request: BankRequest, fingerprint: str, *, declined: bool
    ) -> None:
        """Nobody counts."""


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
    watch: CardWatch | None = None,  # noqa: PT028 - the same
) -> Router:
    """The pages of this bank, under `/test-bank`.

    The application must know the templates directory. `static_path` is where it serves
    `test_bank.css`; `clock` gives milliseconds UTC. Deciding disputes asks nobody to sign in:
    leave it out (`with_disputes`) where strangers come. `watch` is asked before a card is tried.
    """
    watching = watch or NoWatch()
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
            "watch": Provide(lambda: watching, sync_to_thread=False),
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


@get("/pay/{session_id:str}")
async def show_payment(
    session_id: FromPath[str],
    request: BankRequest,
    bank: NamedDependency[Bank],
    watch: NamedDependency[CardWatch],
    stylesheet: NamedDependency[str],
) -> Response[Any]:
    """The hosted payment page; where a card was given before, straight back to the merchant."""
    session = await asyncio.to_thread(_session, bank, session_id)
    if session.method_id is not None:
        return _back(session, session.method_id)
    if not await watch.is_open(session.reference, request):
        return _closed_page(session, stylesheet)
    return _payment_page(bank, session, stylesheet, wallet=_wallet(request))


@post("/pay/{session_id:str}", opt=OUR_FORM)
async def take_card(
    session_id: FromPath[str],
    data: URLEncodedBody[CardForm],
    request: BankRequest,
    bank: NamedDependency[Bank],
    watch: NamedDependency[CardWatch],
    at: NamedDependency[int],
    stylesheet: NamedDependency[str],
) -> Response[Any]:
    """Take the card and go back to the merchant; a refused one is said on the page."""
    session = await asyncio.to_thread(_session, bank, session_id)
    _check_token(bank, "pay", session.id, data.token)
    if session.method_id is not None:
        return _back(session, session.method_id)
    async with watch.alone(session.reference, request):
        if not await watch.is_open(session.reference, request):
            return _closed_page(session, stylesheet)
        typed, wallet = data.number.strip() or data.card, _wallet(request)
        fingerprint = bank.fingerprint(typed, wallet)
        try:
            method_id = await asyncio.to_thread(bank.give_card, session, typed, at, wallet)
        except CardRefusedError as error:
            await watch.tried(session.reference, request, fingerprint, declined=True)
            if not await watch.is_open(session.reference, request):
                return _closed_page(session, stylesheet)
            refusal = (
                gettext("The card was declined. Choose another one.")
                if error.declined
                else gettext("This is not one of the test cards. Never type a real number.")
            )
            return _payment_page(
                bank,
                session,
                stylesheet,
                wallet=wallet,
                refusal=refusal,
                status_code=HTTP_422_UNPROCESSABLE_ENTITY,
            )
        await watch.tried(session.reference, request, fingerprint, declined=False)
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


def _wallet(request: BankRequest) -> str:
    """The browser's wallet; a new one where it has none."""
    return request.cookies.get(WALLET, "")[:_LONGEST_WALLET] or secrets.token_urlsafe(16)


def _payment_page(
    bank: Bank,
    session: Session,
    stylesheet: str,
    *,
    wallet: str,
    refusal: str = "",
    status_code: int = 200,
) -> Template:
    page = Template(
        "test_bank/pay.html",
        context={
            "stylesheet": stylesheet,
            "description": session.description,
            "return_path": session.return_path,
            "cards": [(card, gettext(LABELS[card.behaviour])) for card in MAGIC_CARDS],
            "refusal": refusal,
            "token": bank.form_token("pay", session.id),
        },
        status_code=status_code,
    )
    cookie = Cookie(
        key=WALLET,
        value=wallet,
        path=PAGES_PATH,
        max_age=_WALLET_AGE_S,
        httponly=True,
        samesite="lax",
    )
    page.set_cookie(cookie)
    return page


def _closed_page(session: Session, stylesheet: str) -> Template:
    """One neutral sentence: whoever tests cards learns nothing from it."""
    return Template(
        "test_bank/closed.html",
        context={"stylesheet": stylesheet, "return_path": session.return_path},
        status_code=HTTP_429_TOO_MANY_REQUESTS,
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
