"""How a log asks a witness to cosign its checkpoints (C2SP tlog-witness)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import httpx

from app.settings import WitnessAddress
from app.transparency.checkpoint import CheckpointError, parse_number
from app.transparency.merkle import Tiles, consistency_proof
from app.transparency.note import (
    COSIGNATURE,
    Note,
    NoteError,
    VerifierKey,
    parse_note,
    parse_signature_line,
    signatures_of,
)
from app.witness.protocol import ADD_CHECKPOINT, SIZE_TYPE, encode_request

LONGEST_ANSWER: Final = 64 * 1024
"""Bytes that are read of a witness's answer."""
_LONGEST_REASON: Final = 200
_TRIES: Final = 3
"""How often one checkpoint is offered: the witness may have cosigned for others meanwhile."""


class WitnessError(Exception):
    """A witness did not cosign; the message says why, for the log's operator."""


class WitnessRefusedError(WitnessError):
    """It answered, and does not cosign this checkpoint."""


class WitnessUnreachableError(WitnessError):
    """It did not answer, or not in time; it may be asked again later."""


class WitnessClient:
    """One witness, asked by one thread at a time.

    `url` is where its add-checkpoint is found, `verifier` its key. Raises NoteError for a key that
    does not cosign.
    """

    def __init__(self, url: str, verifier: VerifierKey) -> None:
        if verifier.type != COSIGNATURE:
            raise NoteError(f"the key of {verifier.name} is not one for cosignatures (type 0x04)")
        self.url, self.verifier = url.rstrip("/"), verifier
        self._size = 0
        self._http = httpx.Client(follow_redirects=False)

    def __repr__(self) -> str:
        return f"<WitnessClient {self.verifier.name} at {self.url}>"

    def close(self) -> None:
        """Give up its connection."""
        self._http.close()

    def cosign(self, checkpoint_note: str, tiles: Tiles, size: int, timeout_s: float) -> str | None:
        """The witness's signature line over this checkpoint of `size` leaves, verified, with its
        newline; None where it has cosigned a larger tree already, so that this one is late.

        All of it takes `timeout_s` at most. Raises WitnessRefusedError and WitnessUnreachableError,
        and MissingTileError where `tiles` do not hold the tree.
        """
        until = time.monotonic() + timeout_s
        text = parse_note(checkpoint_note).text
        for _ in range(_TRIES):
            old = min(self._size, size)
            body = encode_request(old, consistency_proof(tiles, old, size), checkpoint_note)
            status, kind, answer = self._post(body, until)
            if status == HTTPStatus.OK:
                line = self._verified(text, answer)
                self._size = size
                return line
            if status != HTTPStatus.CONFLICT or kind != SIZE_TYPE:
                raise self._refusal(status, answer)
            self._size = self._told(answer)
            if self._size > size:
                return None
            if self._size == old:
                raise WitnessRefusedError(
                    f"{self.verifier.name} has cosigned another tree of {old:,} leaves"
                )
        raise WitnessUnreachableError(f"{self.verifier.name} says another size each time")

    def _post(self, body: bytes, until: float) -> tuple[int, str, bytes]:
        """Status, content type and the bounded body; however slowly it drips, it ends in time.

        Each wait for bytes is bounded by the time that is left, and at its end the connection is
        closed, so that bytes which come one by one end with it.
        """
        name = self.verifier.name
        left = max(until - time.monotonic(), 0.001)
        http = self._http
        watchdog = threading.Timer(left, http.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            with http.stream(
                "POST",
                self.url + ADD_CHECKPOINT,
                content=body,
                headers={
                    "Content-Type": "text/plain; charset=utf-8",
                    "Accept-Encoding": "identity",
                },
                timeout=left,
            ) as response:
                answer = b""
                for part in response.iter_raw():
                    answer += part
                    if len(answer) > LONGEST_ANSWER:
                        raise WitnessRefusedError(f"{name} answers without end")
                    if time.monotonic() > until:
                        raise WitnessUnreachableError(f"{name} does not answer in time")
        except httpx.TimeoutException as fault:
            raise WitnessUnreachableError(f"{name} does not answer in time") from fault
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            if http.is_closed:
                raise WitnessUnreachableError(f"{name} does not answer in time") from fault
            raise WitnessUnreachableError(f"{name} cannot be reached at {self.url}") from fault
        finally:
            watchdog.cancel()
            if http.is_closed:
                self._http = httpx.Client(follow_redirects=False)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return response.status_code, kind, answer

    def _verified(self, text: str, answer: bytes) -> str:
        """Our line of the answer; lines of keys that we do not know are passed over."""
        name = self.verifier.name
        try:
            lines = [
                parse_signature_line(line)
                for line in answer.decode().removesuffix("\n").split("\n")
            ]
            ours = tuple(
                line for line in lines if (line.name, line.key_id) == (name, self.verifier.key_id)
            )
            if not signatures_of(Note(text, ours), [self.verifier]):
                raise WitnessRefusedError(f"{name} answers without a cosignature of its own")
        except (NoteError, UnicodeDecodeError) as fault:
            raise WitnessRefusedError(f"{name} answers what is no cosignature: {fault}") from fault
        return ours[0].encode()

    def _told(self, answer: bytes) -> int:
        try:
            return parse_number(answer.decode("ascii").removesuffix("\n"))
        except (CheckpointError, UnicodeDecodeError) as fault:
            name = self.verifier.name
            raise WitnessRefusedError(f"{name} answers what is no size: {fault}") from fault

    def _refusal(self, status: int, answer: bytes) -> WitnessError:
        name = self.verifier.name
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            return WitnessUnreachableError(f"{name} cannot cosign now ({status})")
        reasons = {
            HTTPStatus.FORBIDDEN: "it does not take our signature",
            HTTPStatus.NOT_FOUND: "it does not watch this log, or has another URL",
            HTTPStatus.UNPROCESSABLE_ENTITY: "our tree does not begin with the one it cosigned",
        }
        said = "".join(sign for sign in answer.decode(errors="replace") if sign.isprintable())
        why = reasons.get(HTTPStatus(status), "") if status in set(HTTPStatus) else ""
        return WitnessRefusedError(
            f"{name} refuses: {why or 'it does not take our request'} ({status}):"
            f" {said[:_LONGEST_REASON]}"
        )


def clients_of(addresses: Iterable[WitnessAddress]) -> list[WitnessClient]:
    """A client for each witness of the setting `witnesses`; raises NoteError for a bad key."""
    return [WitnessClient(one.url, VerifierKey.parse(one.vkey)) for one in addresses]


def parse_witnesses(text: str) -> list[WitnessClient]:
    """Clients from "vkey url" pairs with commas between them; raises NoteError."""
    pairs = [part.split() for part in text.split(",") if part.strip()]
    if any(len(pair) != 2 for pair in pairs):  # noqa: PLR2004 - a pair
        raise NoteError("a witness is a key and a URL with a space between them")
    return clients_of(WitnessAddress(vkey, url) for vkey, url in pairs)
