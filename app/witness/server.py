"""The witness behind HTTP: one address for logs, and a few for people and monitors.

POST /add-checkpoint        C2SP tlog-witness
GET  /                      who this is, and what it saw
GET  /log/<hash>            a log's last cosigned checkpoint; the hash is SHA-256 of its name
GET  /log/<hash>/forks      pairs of checkpoints that prove that the log lied
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath

from app.witness.protocol import ADD_CHECKPOINT, LONGEST_REQUEST, SIZE_TYPE, origin_hash
from app.witness.store import WitnessStoreError
from app.witness.witness import RefusedError, Witness

_logger = logging.getLogger(__name__)

TEXT: Final = "text/plain; charset=utf-8"
_FOR_ALL: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def _answer(text: str, status: int = HTTPStatus.OK, content_type: str = TEXT) -> Response[bytes]:
    return Response(
        text.encode(), status_code=status, headers={**_FOR_ALL, "Content-Type": content_type}
    )


@post(ADD_CHECKPOINT, status_code=HTTPStatus.OK, request_max_body_size=LONGEST_REQUEST)
async def add_checkpoint(request: Request[None, None, State], state: State) -> Response[bytes]:
    """Cosign a checkpoint, or say why not."""
    witness: Witness = state.witness
    body = await request.body()
    try:
        line = await asyncio.to_thread(witness.add, body)
    except RefusedError as refused:
        if refused.size is not None:
            return _answer(f"{refused.size}\n", refused.status, SIZE_TYPE)
        return _answer(f"{refused}\n", refused.status)
    return _answer(line)


@get("/", sync_to_thread=True)
def look(state: State) -> Response[bytes]:
    """Say who this is, which logs it watches, and what it saw of them."""
    witness: Witness = state.witness
    lines = [
        f"{witness.key.verifier.name}",
        "",
        "A witness of transparency logs: it cosigns a checkpoint when the tree begins with the one",
        "that it cosigned before, and never two that contradict each other.",
        "",
        f"key  {witness.key.verifier.encode()}",
    ]
    for origin in sorted(witness.logs):
        seen, found = witness.store.seen(origin), witness.store.contradictions(origin)
        lines += ["", f"log  {origin}"]
        if seen is None:
            lines.append("     nothing was cosigned yet")
        else:
            at = datetime.fromtimestamp(seen.at_s, UTC)
            lines.append(f"     {seen.size:,} leaves, cosigned {at:%Y-%m-%d %H:%M:%S} UTC")
            lines.append(f"     /log/{origin_hash(origin)}")
        if found:
            lines.append(
                f"     signed other trees, too: {len(found)}, each proven by two signatures"
            )
            lines.append(f"     /log/{origin_hash(origin)}/forks")
    return _answer("\n".join(lines) + "\n")


@get("/log/{named:str}", sync_to_thread=True)
def last_checkpoint(state: State, named: FromPath[str]) -> Response[bytes]:
    """The last checkpoint of a log, with its own signature and our cosignature."""
    witness: Witness = state.witness
    origin = witness.origin(named)
    seen = witness.store.seen(origin) if origin is not None else None
    if seen is None:
        raise NotFoundException("nothing was cosigned of this log")
    return _answer(seen.note)


@get("/log/{named:str}/forks", sync_to_thread=True)
def forks(state: State, named: FromPath[str]) -> Response[bytes]:
    """What proves that a log signed two trees of one size, newest last."""
    witness: Witness = state.witness
    origin = witness.origin(named)
    if origin is None:
        raise NotFoundException("this log is not watched here")
    found = witness.store.contradictions(origin)
    return _answer("\n".join(f"{one.against}\n{one.note}" for one in found))


def _refuse(_: object, fault: HTTPException) -> Response[bytes]:
    return _answer(f"{fault.detail}\n", fault.status_code)


def _not_now(_: object, fault: WitnessStoreError) -> Response[bytes]:
    _logger.error("%s", fault)  # for the operator only: it names a file of this machine
    return _answer("the witness cannot write now\n", HTTPStatus.SERVICE_UNAVAILABLE)


def _fault(_: object, fault: Exception) -> Response[bytes]:
    _logger.error("a request could not be answered", exc_info=fault)
    return _answer("a fault of the witness\n", HTTPStatus.INTERNAL_SERVER_ERROR)


def create_witness_app(witness: Witness) -> Litestar:
    """The witness as an ASGI application."""
    return Litestar(
        [add_checkpoint, look, last_checkpoint, forks],
        state=State({"witness": witness}),
        openapi_config=None,
        exception_handlers={
            HTTPException: _refuse,
            WitnessStoreError: _not_now,
            Exception: _fault,
        },
        # Who serves the application decides where its log goes.
        logging_config=None,
    )
