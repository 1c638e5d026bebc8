"""What changed between two submissions: texts word by word, facts in a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import fields

from app.api.reading import Texts, told
from app.web import dates
from app.web.aligning import steps
from app.web.language import gettext, translatable
from app.web.money import money
from app.web.staff.words import MODELS, word
from domain.terms import Milestone, Need, Reward, Submission, Terms

Kind = Literal["same", "gone", "new", "skipped"]

_KEPT_LINES: Final = 1
"""Unchanged lines that are shown on either side of a change."""

_TOKENS: Final = re.compile(r"[㐀-鿿豈-﫿]|[^\W㐀-鿿豈-﫿]+|\s+|[^\w\s]")
"""A word, a space, a mark, or one Chinese character: in Chinese nothing else parts words."""

_PARTS: Final = (
    ("title", translatable("Title")),
    ("blurb", translatable("In one sentence")),
    ("story", translatable("Story")),
    ("risks", translatable("Risks and challenges")),
    ("description", translatable("Description")),
)


class Piece(Struct, frozen=True):
    """A stretch of text: unchanged, gone, or new; `skipped` stands for unchanged lines."""

    kind: Kind
    text: str


class TextChange(Struct, frozen=True):
    """A text that changed: what it is of (empty: the campaign), which part, and the pieces."""

    of: str
    part: str
    pieces: tuple[Piece, ...]


class FactChange(Struct, frozen=True):
    """A fact that changed, in words; empty where there was or is none."""

    name: str
    before: str
    after: str


class Changes(Struct, frozen=True):
    """What one submission changed against the one before it."""

    texts: tuple[TextChange, ...]
    facts: tuple[FactChange, ...]

    @property
    def none(self) -> bool:
        """Whether the same was handed in again."""
        return not self.texts and not self.facts


# --- Texts ---------------------------------------------------------------------------------------


def diff(before: str, after: str) -> tuple[Piece, ...]:
    """Compare two texts: lines first, and within changed lines words. What would take too long is
    shown as replaced. Slow: off the loop.
    """
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    pieces: list[Piece] = []
    blocks = steps(old, new) or [("replace", 0, len(old), 0, len(new))]
    for number, (kind, a, b, c, d) in enumerate(blocks):
        if kind == "equal":
            pieces += _kept(old[a:b], first=number == 0, last=number == len(blocks) - 1)
        else:
            pieces += _words("".join(old[a:b]), "".join(new[c:d]))
    return tuple(_joined(pieces))


def _kept(lines: Sequence[str], *, first: bool, last: bool) -> Iterator[Piece]:
    """Unchanged lines: those next to a change, and that there are more."""
    head = 0 if first else _KEPT_LINES
    tail = 0 if last else _KEPT_LINES
    if len(lines) <= head + tail + 1:
        yield Piece("same", "".join(lines))
        return
    if head:
        yield Piece("same", "".join(lines[:head]))
    yield Piece("skipped", "")
    if tail:
        yield Piece("same", "".join(lines[-tail:]))


def _words(before: str, after: str) -> Iterator[Piece]:
    old, new = _TOKENS.findall(before), _TOKENS.findall(after)
    path = steps(old, new)
    if path is None:
        yield Piece("gone", before)
        yield Piece("new", after)
        return
    for kind, a, b, c, d in path:
        if kind == "equal":
            yield Piece("same", "".join(old[a:b]))
            continue
        if a < b:
            yield Piece("gone", "".join(old[a:b]))
        if c < d:
            yield Piece("new", "".join(new[c:d]))


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Neighbours of one kind as one; empty ones are left out."""
    held: Piece | None = None
    for piece in pieces:
        if not piece.text and piece.kind != "skipped":
            continue
        if held is not None and held.kind == piece.kind:
            held = Piece(held.kind, held.text + piece.text)
            continue
        if held is not None:
            yield held
        held = piece
    if held is not None:
        yield held


# --- Submissions ---------------------------------------------------------------------------------


def changes(
    before: Submission, after: Submission, texts: Texts, name_of: Callable[[str], str]
) -> Changes:
    """Compare two submissions. `texts` holds every text that they name, `name_of` names a party."""
    found_texts = list(_text_changes("", before.text, after.text, texts))
    facts = list(_facts(before, after, name_of))
    for pair in (
        _parts(before.rewards, after.rewards, "reward_id"),
        _parts(before.needs, after.needs, "need_id"),
        _parts(before.milestones, after.milestones, "milestone_id"),
    ):
        for old, new in pair:
            title = _title(new, texts) or _title(old, texts)
            facts += _part_facts(old, new, title, before.currency, after.currency)
            if old is not None and new is not None:
                found_texts += _text_changes(title, old.text, new.text, texts)
    return Changes(tuple(found_texts), tuple(facts))


def _text_changes(of: str, before: str, after: str, texts: Texts) -> Iterator[TextChange]:
    if before == after:
        return
    for part, words in _PARTS:
        old, new = told(texts, before, part), told(texts, after, part)
        if old != new:
            yield TextChange(of, gettext(words), diff(old, new))
    for part in ("category", "language"):
        old, new = told(texts, before, part), told(texts, after, part)
        if old != new:
            yield TextChange(of, _other_part(part), diff(old, new))


def _other_part(part: str) -> str:
    return gettext("Category") if part == "category" else gettext("Language")


Part = Reward | Need | Milestone


def _title(part: Part | None, texts: Texts) -> str:
    return told(texts, part.text, "title") if part is not None else ""


def _parts(
    before: Sequence[Part], after: Sequence[Part], key: str
) -> Iterator[tuple[Part | None, Part | None]]:
    """The parts of two submissions side by side, by their ids."""
    old = {getattr(part, key): part for part in before}
    new = {getattr(part, key): part for part in after}
    for part_id in (*new, *(found for found in old if found not in new)):
        yield old.get(part_id), new.get(part_id)


def _part_facts(
    old: Part | None, new: Part | None, title: str, was_in: str, is_in: str
) -> Iterator[FactChange]:
    before = described(old, was_in) if old is not None else ""
    after = described(new, is_in) if new is not None else ""
    if before != after:
        yield FactChange(title or gettext("Without a title"), before, after)


def described(part: Part, currency: str) -> str:
    """What a part promises or asks for, besides its text."""
    match part:
        case Milestone():
            return gettext("%(share)s %% of the money") % {"share": f"{part.share_bps / 100:g}"}
        case Need():
            return gettext("%(number)s wanted") % {"number": f"{part.quantity:,}"}
        case Reward():
            return " · ".join(_promises(part, currency))


def _promises(reward: Reward, currency: str) -> Iterator[str]:
    yield money(reward.price_minor, currency)
    if reward.add_on:
        yield gettext("add-on")
    if reward.limit is not None:
        yield gettext("at most %(number)s") % {"number": f"{reward.limit:,}"}
    if reward.delivery_at is not None:
        yield dates.month(reward.delivery_at)
    for fee in reward.shipping:
        said = {"region": fee.region, "fee": money(fee.fee_minor, currency)}
        yield gettext("to %(region)s: %(fee)s") % said


def _facts(
    before: Submission, after: Submission, name_of: Callable[[str], str]
) -> Iterator[FactChange]:
    old, new = facts(before, name_of), facts(after, name_of)
    for (name, was), (_, now) in zip(old, new, strict=True):
        if was != now:
            yield FactChange(name, was, now)


def facts(submission: Submission, name_of: Callable[[str], str]) -> list[tuple[str, str]]:
    """(name, words) of what a submission says besides texts, rewards, needs and milestones."""
    s = submission
    yes = gettext("Yes") if s.first_time_creator else gettext("No")
    return [
        (gettext("Goal"), money(s.goal_minor, s.currency, coded=True)),
        (gettext("Currency"), s.currency),
        (gettext("Model"), word(MODELS, s.model)),
        (gettext("Deadline"), dates.minute(s.deadline_at)),
        (gettext("Team"), ", ".join(name_of(party) for party in s.team) or gettext("Nobody else")),
        (gettext("First campaign"), yes),
        *((name, said(s.terms)) for name, said in _terms()),
    ]


def _terms() -> list[tuple[str, Callable[[Terms], str]]]:
    """What of the terms is told, and how."""

    def percent(bps: int) -> str:
        return f"{bps / 100:g} %"

    def days(number: int) -> str:
        return gettext("%(number)s days") % {"number": number}

    def bearer(who: str) -> str:
        return gettext("The platform") if who == "platform" else gettext("The creator")

    return [
        (
            gettext("Charged"),
            lambda t: (
                gettext("after success") if t.collect_at == "success" else gettext("at the pledge")
            ),
        ),
        (gettext("Platform fee"), lambda t: percent(t.platform_fee_bps)),
        (gettext("Processing fee"), lambda t: percent(t.processing_fee_bps)),
        (gettext("Bears the platform fee of a refund"), lambda t: bearer(t.platform_fee_on_refund)),
        (
            gettext("Bears the processing fee of a refund"),
            lambda t: bearer(t.processing_fee_on_refund),
        ),
        (gettext("New tries after"), lambda t: ", ".join(map(days, t.retry_after_days))),
        (gettext("Grace for failed payments"), lambda t: days(t.grace_days)),
        (gettext("Withdrawal period"), lambda t: days(t.withdrawal_days)),
        (gettext("Payouts after success wait"), lambda t: days(t.payout_delay_days)),
        (gettext("A changed account waits"), lambda t: days(t.account_wait_days)),
        (
            gettext("Reserve of a first campaign"),
            lambda t: (
                gettext("%(share)s for %(days)s")
                % {"share": percent(t.reserve_bps), "days": days(t.reserve_days)}
            ),
        ),
    ]


def hashes(submission: Submission) -> set[str]:
    """Every text that a submission names."""
    parts: tuple[Any, ...] = (*submission.rewards, *submission.needs, *submission.milestones)
    return {submission.text, *(part.text for part in parts)} - {""}


TERMS_TOLD: Final = len(fields(Terms))
"""Every field of the terms is told; a test holds that none is forgotten."""
