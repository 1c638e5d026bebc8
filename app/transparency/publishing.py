"""Publishes a signed checkpoint once enough witnesses have cosigned it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Final, Protocol

from msgspec import Struct

from app.transparency.merkle import Tiles
from app.transparency.note import VerifierKey
from app.transparency.store import SignedCheckpoint, TransparencyStore
from app.witness.client import WitnessError

ANSWER_S: Final = 10.0
"""How long a witness may take to answer."""

LINGER_S: Final = 0.5
"""How long the other witnesses are waited for once enough have cosigned."""

PAUSE_S: Final = 0.2
FIRST_REST_S: Final = 2.0
LONGEST_REST_S: Final = 20.0
"""How long a witness that did not cosign is left alone: twice as long each time."""

_logger = logging.getLogger(__name__)


class Client(Protocol):
    """A witness as it is asked (`app.witness.client`)."""

    @property
    def verifier(self) -> VerifierKey:
        """Its key."""

    def cosign(self, checkpoint_note: str, tiles: Tiles, size: int, timeout_s: float) -> str | None:
        """Its signature line; None where it has seen a larger tree. Raises WitnessError."""

    def close(self) -> None:
        """Give up its connection."""


class WitnessStanding(Struct, frozen=True):
    """How a witness stands: which size it cosigned last and when (ms UTC), and what went wrong
    since, empty where nothing did.
    """

    name: str
    size: int = 0
    at: int = 0
    trouble: str = ""


class _Witness:
    """One witness, and how it has answered."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.asked: Future[str | None] | None = None
        self.rest_s = 0.0
        self.not_before = 0.0
        self.standing = WitnessStanding(client.verifier.name)

    def is_free(self) -> bool:
        """Whether it can be asked: no request is under way, and it was let rest after a fault."""
        return self.asked is None and time.monotonic() >= self.not_before


class Publisher:
    """Asks every witness about one checkpoint at a time, the newest; each has at most one request
    under way. One thread steps.
    """

    def __init__(
        self,
        store: TransparencyStore,
        clients: Sequence[Client],
        quorum: int,
        log_key: VerifierKey,
        *,
        clock: Callable[[], int],
        told: Callable[[], None],
    ) -> None:
        self._store = store
        self._witnesses = [_Witness(client) for client in clients]
        self._quorum = quorum
        self._log_key = log_key
        self._clock = clock
        self._told = told
        self._pool = ThreadPoolExecutor(len(clients), thread_name_prefix="witness")

    def standing(self) -> tuple[WitnessStanding, ...]:
        """How each witness stands."""
        return tuple(witness.standing for witness in self._witnesses)

    def close(self) -> None:
        """Ask nobody any more; what is under way ends by itself, or with its connection."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for witness in self._witnesses:
            witness.client.close()

    def step(self) -> bool:
        """Have the newest signed checkpoint cosigned and published; whether it was."""
        newest = self._store.latest_signed()
        if newest is None or newest.published:
            return False
        lines: dict[VerifierKey, str] = {}
        asked = [witness for witness in self._witnesses if witness.is_free()]
        for witness in asked:
            witness.asked = self._pool.submit(
                witness.client.cosign, newest.note, self._store, newest.size, ANSWER_S
            )
        until = time.monotonic() + ANSWER_S
        enough = False
        while pending := [w.asked for w in asked if w.asked is not None]:
            wait(pending, max(0.0, until - time.monotonic()), "FIRST_COMPLETED")
            if not self._gather(asked, newest, lines):
                break
            if self._counted(lines) >= self._quorum and not enough:
                enough = True
                self._publish(newest, lines)
                until = min(until, time.monotonic() + LINGER_S)
        self._reap(asked)
        if enough and len(lines) > self._quorum:
            self._publish(newest, lines)  # with those that came after the quorum
        return enough

    def _counted(self, lines: Iterable[VerifierKey]) -> int:
        """How many witnesses these are: a public key counts once, and the log's own is none."""
        return len({key.public for key in lines} - {self._log_key.public})

    def _gather(
        self, asked: Sequence[_Witness], about: SignedCheckpoint, lines: dict[VerifierKey, str]
    ) -> bool:
        """Take in what was answered; False where nothing was in time."""
        done = [witness for witness in asked if witness.asked is not None and witness.asked.done()]
        for witness in done:
            line = self._answer(witness, about)
            if line is not None:
                lines[witness.client.verifier] = line
        return bool(done)

    def _reap(self, asked: Sequence[_Witness]) -> None:
        """Let those that are late free themselves when they answer."""
        for witness in asked:
            if witness.asked is not None:
                witness.asked.add_done_callback(partial(self._late, witness))

    def _late(self, witness: _Witness, _: Future[str | None]) -> None:
        self._answer(witness, None)

    def _answer(self, witness: _Witness, about: SignedCheckpoint | None) -> str | None:
        """What a witness answered about a checkpoint; None about one whose round is over."""
        future, witness.asked = witness.asked, None
        if future is None or future.cancelled():
            return None
        known = witness.standing
        try:
            line = future.result()
        except WitnessError as fault:
            self._rest(witness, str(fault))
            return None
        except Exception as fault:
            _logger.exception("the witness %s could not be asked", known.name)
            self._rest(witness, f"{known.name} could not be asked: {type(fault).__name__}")
            return None
        witness.rest_s = witness.not_before = 0.0
        if line is not None and about is not None:
            witness.standing = WitnessStanding(known.name, about.size, self._clock())
        return line

    def _rest(self, witness: _Witness, trouble: str) -> None:
        known = witness.standing
        if trouble != known.trouble:
            _logger.warning("the witness %s did not cosign: %s", known.name, trouble)
        witness.standing = WitnessStanding(known.name, known.size, known.at, trouble)
        witness.rest_s = min(max(2 * witness.rest_s, FIRST_REST_S), LONGEST_REST_S)
        witness.not_before = time.monotonic() + witness.rest_s

    def _publish(self, checkpoint: SignedCheckpoint, lines: dict[VerifierKey, str]) -> None:
        note = checkpoint.note + "".join(lines[key] for key in sorted(lines, key=_in_order))
        self._store.publish(checkpoint.size, note)
        self._told()

    def run(
        self,
        stop: threading.Event,
        may_publish: Callable[[], bool],
        signed: Callable[[float], None],
    ) -> None:
        """Publish until told to stop; what a thread runs. `signed(timeout)` waits for news."""
        while not stop.is_set():
            try:
                if not may_publish() or not self.step():
                    signed(PAUSE_S)
                    stop.wait(PAUSE_S)
            except Exception:
                _logger.exception("a checkpoint could not be published; it is tried again")
                stop.wait(FIRST_REST_S)


def _in_order(key: VerifierKey) -> tuple[str, bytes]:
    return key.name, key.key_id
