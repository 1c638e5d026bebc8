"""News from the test bank: how it is signed, read, and delivered at least once.

A notification is one JSON body, signed over its raw bytes:
`Test-Bank-Signature: v1=<HMAC-SHA256 in hex>`. There is no time in the signature: a replayed body
has the `id` it had before, and whoever hears it asks `look_up` before believing it is new.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from app.payments.port import InvalidNotification, Notification

SIGNATURE_HEADER = "test-bank-signature"
MAX_BODY_BYTES = 65_536
BATCH = 100
FIRST_RETRY_MS = 60_000
LAST_RETRY_MS = 6 * 60 * 60 * 1_000
HTTP_OK = range(200, 300)

_decoder: msgspec.json.Decoder[Notification] = msgspec.json.Decoder(Notification)

Post = Callable[[Mapping[str, str], bytes], int]
"""Sends headers and a body to the merchant and returns the HTTP status; where there is no answer
it returns a status of its own outside 200…299."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One signed notification to be sent. `no` is the bank's own number for it."""

    no: int
    headers: Mapping[str, str]
    body: bytes


class Sender(Protocol):
    """What `deliver_due` needs of the bank."""

    def run_due(self, at: int) -> int:
        """Do what is due on the bank's side."""

    def due_notifications(self, at: int, limit: int = BATCH) -> list[Delivery]:
        """The next notifications to send."""

    def mark_delivered(self, no: int, at: int) -> None:
        """The merchant has it."""

    def mark_failed(self, no: int, at: int) -> None:
        """The merchant does not have it: try again later."""


def sign(secret: bytes, body: bytes) -> dict[str, str]:
    """The headers that go with `body`."""
    return {
        SIGNATURE_HEADER: f"v1={hmac.new(secret, body, hashlib.sha256).hexdigest()}",
        "content-type": "application/json",
    }


def parse(secret: bytes, headers: Mapping[str, str], body: bytes) -> list[Notification]:
    """Read a notification after checking its signature over the raw bytes. Raises
    InvalidNotification.
    """
    if len(body) > MAX_BODY_BYTES:
        raise InvalidNotification(f"The body has {len(body)} bytes.")
    given = next((v for name, v in headers.items() if name.lower() == SIGNATURE_HEADER), "")
    expected = sign(secret, body)[SIGNATURE_HEADER]
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise InvalidNotification("The signature is missing or not the bank's.")
    try:
        return [_decoder.decode(body)]
    except msgspec.MsgspecError as error:
        raise InvalidNotification(f"The body cannot be read: {error}") from error


def retry_after_ms(attempts: int) -> int:
    """How long to wait after the `attempts`-th failed delivery: a minute, doubling to six hours."""
    return min(FIRST_RETRY_MS << min(attempts - 1, 16), LAST_RETRY_MS)


def deliver_due(bank: Sender, at: int, post: Post) -> int:
    """Let the bank do what is due at `at`, then send the news through `post`. Returns how many
    arrived.

    Each is marked after the merchant's answer, so a kill between the two sends it again: the
    merchant hears everything at least once. What `post` raises ends the round and loses nothing.
    """
    bank.run_due(at)
    arrived = 0
    while deliveries := bank.due_notifications(at):
        for delivery in deliveries:
            if post(delivery.headers, delivery.body) in HTTP_OK:
                bank.mark_delivered(delivery.no, at)
                arrived += 1
            else:
                bank.mark_failed(delivery.no, at)
    return arrived
