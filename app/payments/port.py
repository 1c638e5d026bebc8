"""The payment provider port: what Tributary asks of a firm that moves money.

A provider is any object with the shape of `PaymentProvider`. Every request carries `key`, our own
idempotency key (`"<log id>/<campaign>/<no>/<attempt>"`, at most 255 characters), and `at`, the time
of asking in milliseconds UTC, so that a simulation brings its own clock. Four promises hold for
every provider, and `tests/payments/test_port_contract.py` checks them:

1. The same key with the same content is one operation: asked again it answers with the present
   outcome of that operation, and money never moves twice. `at`, `return_path` and
   `collect_reference` are not content.
2. The same key with other content raises `KeyConflict`, and nothing of that call is done.
3. `Unknown`, or any exception that is not a `PortError`, says nothing about the money. `look_up` of
   the key tells. Where it answers None, ask again under the same key, never under a new one: the
   first request may still be on its way.
4. `Succeeded` and `Declined` are final for their key. A new attempt has a new key, and is made only
   after the last one was `Declined`.

The methods are synchronous and slow as the network is; callers run them in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol, TypeAlias, cast, get_args

import msgspec

from domain.money import is_amount

MAX_KEY_LENGTH = 255
CURRENCY_LENGTH = 3

OperationKind = Literal["collect", "refund", "pay_out", "transfer_in"]
"""What an operation does; a `transfer_in` is begun by somebody else, who sends us money."""

LineKind = Literal[
    "collected",
    "refunded",
    "paid_out",
    "pay_out_returned",
    "transferred_in",
    "dispute_opened",
    "dispute_won",
    "dispute_lost",
]


DeclineCode = Literal[
    "account_closed",
    "cancelled",
    "card_declined",
    "card_expired",
    "card_lost",
    "confirmation_expired",
    "confirmation_refused",
    "exceeds_remainder",
    "insufficient_funds",
    "never_sent",
    "no_payment_method",
    "no_such_method",
    "not_collected",
    "other_currency",
    "refund_refused",
    "unknown_currency",
]
"""Why no money moved, in words that every provider's own are brought to. `card_declined` is all
that is known where a provider says no more, or something that nobody foresaw."""

DECLINE_CODES: Final[frozenset[str]] = frozenset(get_args(DeclineCode))


class PortError(Exception):
    """The provider refused the call itself; nothing of it was done."""


class KeyConflict(PortError):  # noqa: N818 - what happened, in the words of the port
    """A key was used before with other content. `key` names it, so that a caller can take the
    request out of its batch and send the rest.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"The key {key!r} was used before with other content.")
        self.key = key


class InvalidNotification(PortError):  # noqa: N818 - the same
    """A notification is not signed by the provider, or cannot be read."""


# What we ask


class PrepareMethod(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a hosted page on which a backer gives a payment method to the provider, not to us.

    `reference` is our own word for what the method is for (a checkout) and comes back in `Method`.
    `description` is shown to the backer: what will be charged, when, and on what condition.
    `return_path` is a path of our own origin; the provider appends `method=<method id>` to its
    query. Raises ValueError where `return_path` could lead elsewhere.
    """

    reference: str
    description: str
    return_path: str
    at: int

    def __post_init__(self) -> None:
        check_return_path(self.return_path)


class CollectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Take `amount_minor` from a prepared method.

    `return_path` is where the backer goes after confirming, should the bank ask for that; empty:
    the bank's own page says what happened.
    """

    key: str
    method_id: str
    amount_minor: int
    currency: str
    at: int
    return_path: str = ""

    def __post_init__(self) -> None:
        check_request(self.key, self.amount_minor, self.currency)
        if self.return_path:
            check_return_path(self.return_path)


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Give back a part or the whole of what one collect took.

    `collect_key` is the key of that collect; `collect_reference` what the provider calls it (from
    `Succeeded`), which most real providers need.
    """

    key: str
    collect_key: str
    amount_minor: int
    currency: str
    at: int
    collect_reference: str = ""

    def __post_init__(self) -> None:
        check_request(self.key, self.amount_minor, self.currency)


class PayOutRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Send money from our balance at the provider to a creator's account, named by an opaque
    account reference (never an account number).
    """

    key: str
    account: str
    amount_minor: int
    currency: str
    at: int

    def __post_init__(self) -> None:
        check_request(self.key, self.amount_minor, self.currency)


# What we hear


class Succeeded(msgspec.Struct, frozen=True, kw_only=True, tag="succeeded"):
    """The money moved at `at`: `amount_minor` in `currency`, as the provider says, whatever was
    asked for. `fee_minor` is what the provider kept of it.
    """

    reference: str
    amount_minor: int
    currency: str
    fee_minor: int
    at: int


class Pending(msgspec.Struct, frozen=True, kw_only=True, tag="pending"):
    """Accepted, not yet final; a notification will tell, and `look_up` always does."""

    reference: str


class ActionRequired(msgspec.Struct, frozen=True, kw_only=True, tag="action_required"):
    """The backer must confirm at `url` before `expires_at`; later it is `Declined`, retryable."""

    url: str
    expires_at: int


class Declined(msgspec.Struct, frozen=True, kw_only=True, tag="declined"):
    """No money moved. `code` says why in the port's words (a provider's own go through
    `decline_code`); `retryable`: a later attempt with a new key may succeed without the backer
    doing anything.
    """

    code: DeclineCode
    retryable: bool


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """Nobody can say yet whether the money moved. Ask with `look_up`; never charge again."""


Outcome: TypeAlias = Succeeded | Pending | ActionRequired | Declined | Unknown


class PreparedMethod(msgspec.Struct, frozen=True, kw_only=True):
    """A session on the provider's hosted page, and where to send the backer."""

    session: str
    url: str


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """What we may know of a payment method: how to name it, never the number behind it.

    `fingerprint` is equal for the same card and says nothing else; it serves against card testing.
    """

    method_id: str
    reference: str
    last4: str
    fingerprint: str


class OutcomeReported(msgspec.Struct, frozen=True, kw_only=True, tag="outcome_reported"):
    """An operation reached `outcome` at `at`. Older news may arrive after newer."""

    id: str
    key: str
    kind: OperationKind
    outcome: Outcome
    at: int


class DisputeOpened(msgspec.Struct, frozen=True, kw_only=True, tag="dispute_opened"):
    """The backer's bank took `amount_minor` of the collect `key` back until it is decided."""

    id: str
    dispute_id: str
    key: str
    amount_minor: int
    currency: str
    at: int


class DisputeDecided(msgspec.Struct, frozen=True, kw_only=True, tag="dispute_decided"):
    """A dispute ended. `won` by us: the amount came back. Else it is gone, with `fee_minor`."""

    id: str
    dispute_id: str
    key: str
    won: bool
    amount_minor: int
    fee_minor: int
    currency: str
    at: int


class PayOutReturned(msgspec.Struct, frozen=True, kw_only=True, tag="pay_out_returned"):
    """A payout that had succeeded came back in full."""

    id: str
    key: str
    amount_minor: int
    currency: str
    at: int


Notification: TypeAlias = OutcomeReported | DisputeOpened | DisputeDecided | PayOutReturned
"""News from the provider. `id` is the same in every delivery of the same news."""


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One movement on our account at the provider, numbered gapless from 1.

    `key` and `reference` are those of the operation the movement belongs to: for a dispute the
    collect, for a returned payout the payout. Amount and fee are never negative; `kind` says the
    direction.
    """

    no: int
    kind: LineKind
    key: str
    reference: str
    amount_minor: int
    fee_minor: int
    currency: str
    at: int

    @property
    def balance_change_minor(self) -> int:
        """By how much this line changes our balance at the provider."""
        match self.kind:
            case "collected":
                return self.amount_minor - self.fee_minor
            case "pay_out_returned" | "transferred_in" | "dispute_won":
                return self.amount_minor
            case "refunded" | "paid_out" | "dispute_opened":
                return -self.amount_minor
            case "dispute_lost":
                return -self.fee_minor


class PaymentProvider(Protocol):
    """A firm that collects, refunds and pays out for us. A single request is a list of one."""

    @property
    def name(self) -> str:
        """As in `Assets:Provider:<name>:Clearing` and `provider:<name>`."""

    @property
    def supports_later_collection(self) -> bool:
        """A prepared method can be charged later, without the backer being there."""

    @property
    def supports_partial_refund(self) -> bool:
        """A collect can be refunded in parts; else only in full."""

    def accepts_currency(self, currency: str) -> bool:
        """Whether money in this currency can be collected, refunded and paid out."""

    def prepare_method(self, request: PrepareMethod) -> PreparedMethod:
        """Open a session on the hosted page. Moves no money."""

    def method_of(self, session: str) -> Method | None:
        """The method a backer gave in this session; None while there is none. Ask this, rather
        than believe the `method` in the query the backer's browser comes back with.
        """

    def collect_many(self, requests: Sequence[CollectRequest]) -> list[Outcome]:
        """One outcome per request, in order. Raises KeyConflict."""

    def refund_many(self, requests: Sequence[RefundRequest]) -> list[Outcome]:
        """One outcome per request, in order. More than is left of the collect is Declined. Raises
        KeyConflict.
        """

    def pay_out_many(self, requests: Sequence[PayOutRequest]) -> list[Outcome]:
        """One outcome per request, in order. Raises KeyConflict."""

    def cancel(self, key: str, at: int) -> Outcome | None:
        """Take back a collect that waits for the backer, so that it can no longer be confirmed:
        the answer is then Declined. Any other operation is left as it is and its present outcome
        returned; None: the provider never saw the key.
        """

    def look_up(self, key: str) -> Outcome | None:
        """The present outcome of the operation under our key; None: the provider never saw it."""

    def parse_notification(self, headers: Mapping[str, str], body: bytes) -> list[Notification]:
        """Check the signature over the raw body and read it. Header names in any case. Raises
        InvalidNotification.
        """

    def statement(self, after: int, limit: int) -> list[StatementLine]:
        """Up to `limit` lines with `no` greater than `after`, in order."""


def decline_code(said: str, known: Mapping[str, DeclineCode] | None = None) -> DeclineCode:
    """Bring a provider's own reason to the port's words: by its table of `known` ones, as it is
    where it is one of the port's, else `card_declined`.
    """
    if known and said in known:
        return known[said]
    return cast("DeclineCode", said) if said in DECLINE_CODES else "card_declined"


def check_request(key: str, amount_minor: int, currency: str) -> None:
    """Raise ValueError for an empty or long key, an amount outside 1…10¹², a malformed currency."""
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise ValueError(f"a key has 1 to {MAX_KEY_LENGTH} characters, not {len(key)}")
    if type(amount_minor) is not int or not is_amount(amount_minor):
        raise ValueError(f"an amount is a whole number from 1 to 10^12, not {amount_minor!r}")
    if not (len(currency) == CURRENCY_LENGTH and currency.isascii() and currency.isalpha()):
        raise ValueError(f"a currency is three letters, not {currency!r}")
    if not currency.isupper():
        raise ValueError(f"a currency is written in capitals, not {currency!r}")


def check_return_path(path: str) -> None:
    """Raise ValueError unless `path` stays on our own origin.

    Browsers read two slashes, a slash and a backslash, or a slash and a tab or line break as the
    beginning of another host.
    """
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError(f"a return path starts with one slash: {path!r}")
    if any(c in "\\#" or c.isspace() or not c.isprintable() for c in path):
        raise ValueError(f"a return path has no backslash, fragment, space or control: {path!r}")
