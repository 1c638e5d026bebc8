"""What a witness does with a checkpoint that a log hands it (C2SP tlog-witness)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from app.transparency.merkle import EMPTY_ROOT, ProofError, verify_consistency
from app.transparency.note import (
    COSIGNATURE,
    Note,
    NoteError,
    SignatureLine,
    SigningKey,
    VerifierKey,
    signatures_of,
)
from app.witness.protocol import AddCheckpoint, RequestError, origin_hash, parse_request
from app.witness.store import Contradiction, Seen, WitnessStore


class RefusedError(Exception):
    """A checkpoint is not cosigned. `size` is that of the last one that was, where the request took
    another one to be the last or has another tree of that size.
    """

    def __init__(self, status: HTTPStatus, why: str, size: int | None = None) -> None:
        super().__init__(why)
        self.status, self.size = status, size


def clock_s() -> int:
    """The time in seconds since 1970."""
    return int(time.time())


class Witness:
    """A key that cosigns, the keys of the logs that it watches, and its memory.

    A log is known by the name of its key; it may have several keys. Raises NoteError for a key
    that does not cosign.
    """

    def __init__(
        self,
        key: SigningKey,
        logs: Sequence[VerifierKey],
        store: WitnessStore,
        clock: Callable[[], int] = clock_s,
    ) -> None:
        if key.verifier.type != COSIGNATURE:
            raise NoteError("a witness signs with a key for cosignatures (type 0x04)")
        self.key, self.store = key, store
        self._clock = clock
        self.logs: dict[str, list[VerifierKey]] = {}
        for log in logs:
            self.logs.setdefault(log.name, []).append(log)
        self._origins = {origin_hash(origin): origin for origin in self.logs}

    def origin(self, named: str) -> str | None:
        """The log that `origin_hash` names so, of those that are watched."""
        return self._origins.get(named)

    def add(self, body: bytes) -> str:
        """Cosign the checkpoint of a request: our signature line, which is on disk by now; raises
        RefusedError.
        """
        try:
            request = parse_request(body)
        except RequestError as fault:
            raise RefusedError(HTTPStatus.BAD_REQUEST, str(fault)) from fault
        vouched = self._vouched(request)
        if request.old > request.checkpoint.size:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the old tree is larger than the new one")
        checkpoint = request.checkpoint
        cosignature = ""

        def decide(seen: Seen | None) -> Seen:
            nonlocal cosignature
            _check_growth(seen, request)
            at_s = max(self._clock(), seen.at_s if seen else 0)
            cosignature = self.key.sign(request.note.text, at_s)
            note = Note(request.note.text, vouched).encode() + cosignature
            return Seen(checkpoint.origin, checkpoint.size, checkpoint.root, at_s, note)

        try:
            self.store.cosign(checkpoint.origin, decide)
        except RefusedError as refused:
            if refused.size == checkpoint.size:
                self._keep(request, vouched)
            raise
        return cosignature

    def _vouched(self, request: AddCheckpoint) -> tuple[SignatureLine, ...]:
        """The lines by which the log signed; what others signed is not looked at."""
        keys = self.logs.get(request.checkpoint.origin)
        if keys is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "this log is not watched here")
        ours = {(key.name, key.key_id) for key in keys}
        lines = tuple(line for line in request.note.lines if (line.name, line.key_id) in ours)
        try:
            signed = signatures_of(Note(request.note.text, lines), keys)
        except NoteError as fault:
            raise RefusedError(HTTPStatus.FORBIDDEN, str(fault)) from fault
        if not signed:
            raise RefusedError(HTTPStatus.FORBIDDEN, "the log did not sign this checkpoint")
        return lines

    def _keep(self, request: AddCheckpoint, vouched: tuple[SignatureLine, ...]) -> None:
        """Keep two trees of one size, should the log have signed them."""
        checkpoint = request.checkpoint
        seen = self.store.seen(checkpoint.origin)
        if seen and seen.size == checkpoint.size and seen.root != checkpoint.root:
            note = Note(request.note.text, vouched).encode()
            found = Contradiction(checkpoint.size, self._clock(), note, seen.note)
            self.store.keep_contradiction(checkpoint.origin, checkpoint.root, found)


def _check_growth(seen: Seen | None, request: AddCheckpoint) -> None:
    """Raise RefusedError unless the new tree begins with the one that was cosigned last."""
    size, root = (seen.size, seen.root) if seen else (0, EMPTY_ROOT)
    new = request.checkpoint
    if request.old != size:
        raise RefusedError(HTTPStatus.CONFLICT, "another size was cosigned last", size)
    if new.size == size and new.root != root:
        raise RefusedError(HTTPStatus.CONFLICT, "another tree of this size was cosigned", size)
    try:
        verify_consistency(size, new.size, root, new.root, request.proof)
    except ProofError as fault:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(fault)) from fault
