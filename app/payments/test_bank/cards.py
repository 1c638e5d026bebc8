"""The test bank's magic cards and accounts: which number shows which behaviour.

No real card number starts with 0, so none of these is one.

| number              | behaviour               | what it shows                                    |
|---------------------|-------------------------|--------------------------------------------------|
| 0000 0000 0000 0001 | success                 | every collect succeeds                           |
| 0000 0000 0000 0002 | decline                 | refused on the page; declined for good           |
| 0000 0000 0000 0003 | insufficient_funds      | first collect declined, retryable; then succeeds |
| 0000 0000 0000 0004 | needs_confirmation      | confirmed or refused on the bank's page          |
| 0000 0000 0000 0005 | declines_later          | accepted; every collect declined, retryable      |
| 0000 0000 0000 0006 | lost_later              | accepted; every collect declined for good        |
| 0000 0000 0000 0007 | timeout                 | the money moves, the answer is lost (`Unknown`)  |
| 0000 0000 0000 0008 | duplicate_notifications | pending; news twice, an older one between        |
| 0000 0000 0000 0009 | dispute                 | succeeds, then what is left is disputed          |
| 0000 0000 0000 0010 | slow                    | collects and refunds are pending, then succeed   |
| 0000 0000 0000 0011 | refund_fails            | collects succeed; refunds are declined for good  |

A payout goes wrong by its account reference (any other succeeds):

| account       | what it shows                                 |
|---------------|-----------------------------------------------|
| TEST-CLOSED   | declined for good (`account_closed`)          |
| TEST-SLOW     | pending, then succeeds                        |
| TEST-RETURNED | succeeds, then comes back                     |
| TEST-TIMEOUT  | the money moves, the answer is lost           |
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Behaviour = Literal[
    "success",
    "decline",
    "insufficient_funds",
    "needs_confirmation",
    "declines_later",
    "lost_later",
    "timeout",
    "duplicate_notifications",
    "dispute",
    "slow",
    "refund_fails",
]
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)

ACCOUNT_CLOSED = "TEST-CLOSED"
ACCOUNT_SLOW = "TEST-SLOW"
ACCOUNT_RETURNED = "TEST-RETURNED"
ACCOUNT_TIMEOUT = "TEST-TIMEOUT"


class MagicCard(msgspec.Struct, frozen=True):
    """A fake card: the number to type and what it does."""

    number: str
    behaviour: Behaviour

    @property
    def spaced(self) -> str:
        """The number in groups of four."""
        return " ".join(self.number[i : i + 4] for i in range(0, len(self.number), 4))


MAGIC_CARDS: tuple[MagicCard, ...] = tuple(
    MagicCard(f"{place:016}", behaviour) for place, behaviour in enumerate(BEHAVIOURS, start=1)
)


def magic_card(typed: str) -> MagicCard | None:
    """The magic card with the number as a person types it (spaces and hyphens allowed)."""
    number = typed.replace(" ", "").replace("-", "")
    return next((card for card in MAGIC_CARDS if card.number == number), None)
