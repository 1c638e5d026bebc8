"""What went wrong, said the same way to programs (RFC 9457 problem details) and to people.

Every reason has a stable `type`, `/problems/<reason>`, which is also the address of a page that
explains it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from eventsourcing.persistence import PersistenceError
from litestar.exceptions import HTTPException
from msgspec import Struct
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.engine import (
    EngineBusy,
    EngineClosed,
    IdempotencyKeyReused,
    NotCommitted,
)
from app.log import CommitUnknown
from app.stores.connecting import StoreUnavailableError
from app.stores.repeats import KeyReusedError
from domain.errors import REJECTIONS, Kind, Rejection

MEDIA_TYPE: Final = "application/problem+json"

EDGE_REASONS: Final[Mapping[str, tuple[HTTPStatus, str]]] = {
    "body_invalid": (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The body is not what this address takes.",
    ),
    "request_invalid": (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "A part of the address or a header is not what this address takes.",
    ),
    "payment_method_unknown": (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The backer has no such payment method.",
    ),
    "key_missing": (HTTPStatus.UNAUTHORIZED, "The request shows no key, or one that is not valid."),
    "scope_missing": (HTTPStatus.FORBIDDEN, "The key may not do this."),
    "role_missing": (
        HTTPStatus.FORBIDDEN,
        "This is for people with a role in the channel that your account does not have.",
    ),
    "signature_invalid": (
        HTTPStatus.FORBIDDEN,
        "The notification is not signed by the payment provider.",
    ),
    "form_refused": (HTTPStatus.FORBIDDEN, "The form was not sent by one of our own pages."),
    "not_found": (HTTPStatus.NOT_FOUND, "There is nothing at this address."),
    "method_not_allowed": (
        HTTPStatus.METHOD_NOT_ALLOWED,
        "This address exists, but not for this method.",
    ),
    "too_large": (
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body has more bytes or lines than this address takes.",
    ),
    "media_type_unsupported": (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body is of a media type that this address does not take.",
    ),
    "last_of_staff": (
        HTTPStatus.CONFLICT,
        "A channel keeps at least one of its staff: give the role to another first.",
    ),
    "precondition_required": (
        HTTPStatus.PRECONDITION_REQUIRED,
        "An edit names in `If-Match` the version that it is meant for, as its `ETag` told it.",
    ),
    "precondition_failed": (
        HTTPStatus.PRECONDITION_FAILED,
        "It was changed meanwhile: read it again, and edit what is there now.",
    ),
    "rate_limited": (
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests came in a short time. Wait as long as `Retry-After` says.",
    ),
    "engine_busy": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many commands wait already. Nothing was done: send it again in a moment.",
    ),
    "not_recorded": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "It could not be recorded. Nothing was done: send it again.",
    ),
    "outcome_unknown": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Whether it was recorded is not known. Repeat it with the same id: it is done only once.",
    ),
    "unavailable": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "A part of the server cannot be reached. Ask again: with the same id it is done only once.",
    ),
    "views_behind": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "It is recorded, but the views are not there yet. Ask again in a moment.",
    ),
    "receipt_pending": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "It is recorded, but no published checkpoint covers it yet. Ask again in a moment.",
    ),
    "failed": (HTTPStatus.INTERNAL_SERVER_ERROR, "Something broke on our side. It was noted."),
}
"""Reasons that the edge has besides those of the rules, with their status and meaning."""

_STATUS_OF_KIND: Final[Mapping[Kind, HTTPStatus]] = {
    "conflict": HTTPStatus.CONFLICT,
    "invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "forbidden": HTTPStatus.FORBIDDEN,
    "missing": HTTPStatus.NOT_FOUND,
}

_REASON_OF_STATUS: Final[Mapping[int, str]] = {
    HTTPStatus.BAD_REQUEST: "request_invalid",
    HTTPStatus.UNAUTHORIZED: "key_missing",
    HTTPStatus.FORBIDDEN: "form_refused",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "media_type_unsupported",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limited",
}

NOTE_S: Final = 1.0
"""So often a store that cannot be used is noted, at most."""

_noted_at: Final[dict[type[Exception], float]] = {}
_logger = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818 - what happened, in the words of the API
    """The edge says no; `reason` is one of EDGE_REASONS. A detail replaces its sentence.

    With `wait_ms` the answer says in its `Retry-After` when another try may be taken.
    """

    def __init__(self, reason: str, detail: str = "", *, wait_ms: int | None = None) -> None:
        super().__init__(detail or EDGE_REASONS[reason][1])
        self.reason = reason
        self.wait_ms = wait_ms

    @property
    def headers(self) -> dict[str, str]:
        """The headers that this refusal has of its own."""
        if self.wait_ms is None:
            return {}
        return {"retry-after": str(max(1, -(-self.wait_ms // 1_000)))}


class DisconnectedError(Exception):
    """Who asked hung up before the whole body was here: there is nobody to answer."""


class Problem(Struct, frozen=True):
    """A problem as programs get it. `reason` is the last part of `type`, with underscores."""

    type: str
    title: str
    status: int
    detail: str
    reason: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with the status."""
        match self.status:
            case HTTPStatus.UNAUTHORIZED:
                return {"www-authenticate": 'Bearer realm="tributary"'}
            case HTTPStatus.SERVICE_UNAVAILABLE | HTTPStatus.TOO_MANY_REQUESTS:
                return {"retry-after": "1"}
            case _:
                return {}


def problem_type(reason: str) -> str:
    """The stable name of a reason, and the address of the page about it."""
    return f"/problems/{reason.replace('_', '-')}"


def title_of(reason: str) -> str:
    """A reason in words: `Sold out`."""
    return reason.replace("_", " ").capitalize()


def explained() -> dict[str, tuple[int, str]]:
    """Every reason that an answer can have, with its status and its meaning."""
    rejections: list[type[Rejection]] = [*REJECTIONS.values(), IdempotencyKeyReused]
    rules = {
        rejection.reason: (int(_STATUS_OF_KIND[rejection.kind]), (rejection.__doc__ or "").strip())
        for rejection in rejections
    }
    return rules | {reason: (int(status), text) for reason, (status, text) in EDGE_REASONS.items()}


def problem_of(fault: Exception) -> Problem:
    """Say what an exception means to who asked; what nobody foresaw is noted, told as `failed`."""
    match fault:
        case Rejection():
            return _problem(fault.reason, _STATUS_OF_KIND[fault.kind], str(fault))
        case Refused():
            return _problem(fault.reason, EDGE_REASONS[fault.reason][0], str(fault))
        case KeyReusedError():
            return problem_of(IdempotencyKeyReused())
        case (
            StoreUnavailableError() | OperationalError() | PoolTimeoutError() | PersistenceError()
        ) if not isinstance(fault, (NotCommitted, CommitUnknown)):
            _note_unavailable(fault)
            return problem_of(Refused("unavailable"))
        case DisconnectedError():
            return problem_of(Refused("body_invalid"))
        case EngineBusy():
            return problem_of(Refused("engine_busy"))
        case EngineClosed() | NotCommitted():
            return problem_of(Refused("not_recorded"))
        case CommitUnknown():
            return problem_of(Refused("outcome_unknown"))
        case HTTPException() if fault.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            return _of_http(fault)
        case _:
            _logger.error("a request failed", exc_info=fault)
            return problem_of(Refused("failed"))


def _note_unavailable(fault: Exception) -> None:
    """Note that a store cannot be used, once in a while: every request meets the same."""
    now = time.monotonic()
    if now - _noted_at.get(type(fault), -NOTE_S) >= NOTE_S:
        _noted_at[type(fault)] = now
        _logger.error("a store cannot be used", exc_info=fault)


def _of_http(fault: HTTPException) -> Problem:
    """What the framework refused before any code of ours was asked."""
    reason = _REASON_OF_STATUS.get(fault.status_code, "request_invalid")
    status, sentence = EDGE_REASONS[reason]
    if reason == "request_invalid":
        sentence = _faults_of(fault) or sentence
    elif reason == "form_refused":
        sentence = fault.detail
    return _problem(reason, status, sentence)


def _faults_of(fault: HTTPException) -> str:
    """Name each parameter that does not fit, as `limit: Expected `int` <= 1000`."""
    listed = fault.extra if isinstance(fault.extra, list) else []
    return "; ".join(
        f"{found.get('key', 'request')}: {found.get('message', 'does not fit')}"
        for found in listed
        if isinstance(found, dict)
    )


def _problem(reason: str, status: HTTPStatus, detail: str) -> Problem:
    return Problem(problem_type(reason), title_of(reason), int(status), detail, reason)
