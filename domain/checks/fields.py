"""Rules 1 and 12, field by field: whole amounts in range, and no word that could be a person's.

Every field of every fact is looked at, however deep. What a text may look like follows from its
name, so a new field has to be named here before any fact can carry it.

Most facts of a log look alike: with every hex digit turned to 0, the bytes of two pledges differ in
nothing but the lengths of their numbers. So what was found fine once is remembered by that shape of
its bytes, as far as a shape can promise it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec
from msgspec import inspect

from domain import events as e
from domain import terms as t
from domain.money import BASIS_POINTS, MAX_AMOUNT_MINOR


class Violation(msgspec.Struct, frozen=True):
    """A broken rule by its number in the rule book, and how it is broken."""

    rule: int
    detail: str


# --- What a text may look like -------------------------------------------------------------------

_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_CODE: Final = r"[a-z][a-z0-9_]{0,39}"
_LOOKS: Final[dict[str, tuple[str, ...]]] = {
    rf"campaign:{_UUID}": ("stream",),
    rf"(?:backer|creator|staff|treasurer|auditor):{_UUID}|(?:system|provider):{_CODE}": ("by",),
    _UUID: (
        *("command_id", "channel", "creator", "team", "backer", "party", "reward_id", "need_id"),
        *("offer_id", "pledge_id", "update_id", "refund_id", "account_id", "payout_id"),
        "discrepancy_id",
    ),
    rf"(?:{_UUID})?": ("hold_id", "milestone_id", "payment_method"),
    r"(?:[0-9a-f]{64})?": ("text", "seal"),
    _CODE: (
        *("model", "collect_at", "platform_fee_on_refund", "processing_fee_on_refund"),
        *("cause", "code", "provider", "kind", "resolution", "visibility"),
    ),
    r"[A-Z]{3}": ("currency",),
    r"\*|[A-Z]{2}(?:-[A-Z0-9]{1,3})?": ("region",),
    r"(?:[A-Z]{2}(?:-[A-Z0-9]{1,3})?)?": ("destination",),
    r"[A-Za-z0-9_.:/-]{0,128}": ("reference", "dispute_id"),
}
_LOOK_OF: Final = {name: look for look, names in _LOOKS.items() for name in names}
_LOOK_IN: Final[dict[tuple[type, str], str]] = {
    (e.SubjectErased, "stream"): rf"subject:{_UUID}",
    (e.SubjectErased, "channel"): "",
}
"""Where a name's text looks otherwise than everywhere else."""


def _look(cls: type, name: str) -> str:
    return _LOOK_IN.get((cls, name), _LOOK_OF[name])


# --- Between what a number lies ------------------------------------------------------------------

_LARGEST: Final = 2**63 - 1
_AMOUNT: Final = (1, MAX_AMOUNT_MINOR)
_PART: Final = (0, MAX_AMOUNT_MINOR)
_SUM: Final = (0, _LARGEST)
_SIGNED: Final = (-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR)

_AMOUNTS: Final = frozenset(("amount_minor", "was_minor", "goal_minor", "price_minor"))
_RANGE_OF: Final[dict[tuple[type, str], tuple[int, int]]] = {
    (e.FeesCharged, "platform_fee_minor"): _SUM,
    (e.FeesCharged, "processing_fee_minor"): _SUM,
    (e.CampaignSucceeded, "pledged_minor"): _SUM,
    (e.CampaignFailed, "pledged_minor"): _SUM,
    (e.CampaignFailed, "released_minor"): _SUM,
    (e.CampaignCancelled, "released_minor"): _SUM,
    (e.DiscrepancyRecorded, "amount_minor"): _SIGNED,
    (e.DiscrepancyResolved, "amount_minor"): _SIGNED,
    (t.Terms, "platform_fee_bps"): (0, BASIS_POINTS),
    (t.Terms, "processing_fee_bps"): (0, BASIS_POINTS),
}
"""Sums over many pledges may pass 10^12; what came in or went out without a reason has a sign."""


def _range_of(cls: type, name: str) -> tuple[int, int]:
    if (cls, name) in _RANGE_OF:
        return _RANGE_OF[cls, name]
    if name in _AMOUNTS:
        return _AMOUNT
    return _PART if name.endswith("_minor") else _SUM


# --- One Struct's fields -------------------------------------------------------------------------


_ANY_ID: Final = b"%b-%b-%b-%b-%b" % (b"0" * 8, b"0" * 4, b"0" * 4, b"0" * 4, b"0" * 12)
_HEX_TO_0: Final = bytes.maketrans(b"123456789abcdef", b"0" * 15)

_Read = Callable[[msgspec.Struct], tuple[str, ...]]


class _Shape(NamedTuple):
    """The fields of one Struct by what they hold, made ready for looking at many.

    Ids are the bulk of a fact. With every hex digit turned to 0 they all look alike, which is four
    times as fast as an expression.
    """

    ids: tuple[str, ...]
    read_ids: _Read
    any_ids: bytes
    texts: tuple[str, ...]
    read_texts: _Read
    looks: re.Pattern[str]
    numbers: tuple[tuple[str, int, int], ...]
    deep: bool
    optional: frozenset[str]
    many_texts: tuple[tuple[str, re.Pattern[str]], ...]
    many_numbers: tuple[str, ...]
    one: tuple[str, ...]
    many: tuple[str, ...]
    codes: tuple[str, ...]
    known: set[bytes]


def _shape(cls: type) -> _Shape:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType), "facts and their parts are Structs"
    ids: list[str] = []
    texts: list[str] = []
    numbers, optional, many_texts, many_numbers, one, many = [], [], [], [], [], []
    codes: list[str] = []
    for field in info.fields:
        name, kind = field.name, field.type
        if isinstance(kind, inspect.UnionType):
            optional.append(name)
            kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
        item = kind.item_type if isinstance(kind, inspect.VarTupleType) else None
        match kind, item:
            case ((inspect.StrType() | inspect.LiteralType()), None):
                (ids if _look(cls, name) == _UUID else texts).append(name)
                # Other words than a literal's cannot be read at all.
                if _look(cls, name) == _CODE and isinstance(kind, inspect.StrType):
                    codes.append(name)
            case inspect.IntType(), None:
                numbers.append((name, *_range_of(cls, name)))
            case inspect.BoolType(), None:
                continue
            case inspect.StructType(), None:
                one.append(name)
            case _, inspect.StrType():
                many_texts.append((name, re.compile(_LOOK_OF[name])))
            case _, inspect.IntType():
                many_numbers.append(name)
            case _, inspect.StructType():
                many.append(name)
            case _:
                raise TypeError(f"{cls.__name__}.{name} is of a kind that no rule looks at")
    return _Shape(
        tuple(ids),
        _reader(ids),
        b"\n".join([_ANY_ID] * len(ids)),
        tuple(texts),
        _reader(texts),
        re.compile("\n".join(f"(?:{_LOOK_OF[name]})" for name in texts)),
        tuple(numbers),
        bool(many_texts or many_numbers or one or many),
        frozenset(optional),
        tuple(many_texts),
        tuple(many_numbers),
        tuple(one),
        tuple(many),
        tuple(codes),
        set(),
    )


def _reader(names: list[str]) -> _Read:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda held: tuple(getattr(held, name) for name in names)


_PARTS: Final[tuple[type[msgspec.Struct], ...]] = (
    t.Submission,
    t.Terms,
    t.Reward,
    t.ShippingFee,
    t.Need,
    t.Milestone,
    t.Line,
)

_SHAPES: Final = {cls: _shape(cls) for cls in (*e.EVENT_TYPES.values(), *_PARTS)}


def check_fields(held: msgspec.Struct) -> list[Violation]:
    """Check every number and text of a fact, with all its parts (rules 1 and 12)."""
    found: list[Violation] = []
    _check(held, found)
    return found


def looks_known(event: e.Event, body: bytes) -> bool:
    """Whether a fact is fine because one of its shape was; `body` are its canonical bytes.

    Says nothing of the stream's name. A fact that is not known may be fine: `check_fields` tells,
    and `learn` remembers it.
    """
    shape = _SHAPES[type(event)]
    if body.translate(_HEX_TO_0) not in shape.known:
        return False
    # A shape tells ids and numbers, but not one word from another: `dead` from `0ead`.
    by = event.by
    if by[:-_UUID_SIZE] not in _PEOPLE and by not in _words:
        return False
    return not shape.codes or all(getattr(event, name) in _words for name in shape.codes)


def learn(event: e.Event, body: bytes) -> None:
    """Remember the shape of a fact in which `check_fields` found nothing, where that is enough."""
    shape = _SHAPES[type(event)]
    if len(body) > _MOST_BYTES or not _follows_from_shape(event, shape):
        return
    if len(_words) > _MOST_WORDS:
        _words.clear()
    _words.update(getattr(event, name) for name in shape.codes)
    if event.by[:-_UUID_SIZE] not in _PEOPLE:
        _words.add(event.by)
    if len(shape.known) >= _MOST_SHAPES:
        shape.known.clear()
    shape.known.add(body.translate(_HEX_TO_0))


_UUID_SIZE: Final = 36
_PEOPLE: Final = frozenset(("backer:", "creator:", "staff:", "treasurer:", "auditor:"))
_MOST_BYTES: Final = 2_000
_MOST_SHAPES: Final = 5_000
"""Of one kind of fact; there are as many as there are lengths of its numbers together."""
_MOST_WORDS: Final = 5_000

_words: Final[set[str]] = set()
"""Codes, and actors who are no people, that were looked at and are what they should be."""

_ANY_HEX: Final = frozenset((_UUID, rf"(?:{_UUID})?", r"(?:[0-9a-f]{64})?", _LOOK_OF["reference"]))
"""Looks that stay true when one hex digit takes the place of another."""


def _follows_from_shape(held: msgspec.Struct, shape: _Shape) -> bool:
    """Whether all that has the same shape is fine, too: each text with any other hex digits, each
    number with any other decimals.
    """
    top = isinstance(held, e.Event)
    if shape.codes and not top:
        return False
    for name in shape.texts:
        if top and (name in ("stream", "by") or name in shape.codes):
            continue  # looked at by themselves
        look, text = _look(type(held), name), getattr(held, name)
        if look not in _ANY_HEX and look != _CODE and not _HEX_DIGITS.isdisjoint(text):
            return False
    for name, low, high in shape.numbers:
        number = getattr(held, name)
        if number is not None:
            size = 10 ** len(str(abs(number)))
            if size - 1 > high or (low == 1 and size == 10):  # noqa: PLR2004 - one decimal: may be 0
                return False
    for name in shape.many_numbers:
        if any(number > _SMALL for number in getattr(held, name)):
            return False
    parts = [getattr(held, name) for name in shape.one]
    parts += [part for name in shape.many for part in getattr(held, name)]
    return all(_follows_from_shape(part, _SHAPES[type(part)]) for part in parts)


_HEX_DIGITS: Final = frozenset("0123456789abcdef")
_SMALL: Final = 10**18


def _check(held: msgspec.Struct, found: list[Violation]) -> None:
    shape = _SHAPES[type(held)]
    try:
        # No look allows a line break, so the joined lines can be looked at in one go.
        ids = "\n".join(shape.read_ids(held)).encode().translate(_HEX_TO_0)
        fine = ids == shape.any_ids and shape.looks.fullmatch("\n".join(shape.read_texts(held)))
    except TypeError:
        fine = None
    if not fine:
        _name_texts(held, shape, found)
    for name, low, high in shape.numbers:
        number = getattr(held, name)
        if type(number) is not int or not low <= number <= high:
            _name_number(held, shape, name, found)
    if shape.deep:
        _check_parts(held, shape, found)


def _check_parts(held: msgspec.Struct, shape: _Shape, found: list[Violation]) -> None:
    for name, looks in shape.many_texts:
        if not all(isinstance(text, str) and looks.fullmatch(text) for text in getattr(held, name)):
            found.append(_told(12, held, name, "holds what is not an id"))
    for name in shape.many_numbers:
        whole = all(type(n) is int and 0 <= n <= _LARGEST for n in getattr(held, name))
        if not whole:
            found.append(_told(1, held, name, "holds what is not a whole number"))
    for name in shape.one:
        _check(getattr(held, name), found)
    for name in shape.many:
        for part in getattr(held, name):
            _check(part, found)


def _name_texts(held: msgspec.Struct, shape: _Shape, found: list[Violation]) -> None:
    for name in (*shape.ids, *shape.texts):
        text = getattr(held, name)
        if not isinstance(text, str) or not re.fullmatch(_look(type(held), name), text):
            # What it says is left out: it may be just what must not be told on.
            found.append(_told(12, held, name, "is not an id, a code or a hash"))


def _name_number(held: msgspec.Struct, shape: _Shape, name: str, found: list[Violation]) -> None:
    number = getattr(held, name)
    if number is None and name in shape.optional:
        return
    found.append(_told(1, held, name, f"is {number!r}, not a whole number in its range"))


def _told(rule: int, held: msgspec.Struct, name: str, how: str) -> Violation:
    return Violation(rule, f"{type(held).__name__}.{name} {how}")
