"""What changed between two positions of the log, campaign by campaign, from the events alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct, field, structs

from app.audit.progress import Progress, unseen
from app.audit.reader import CAMPAIGN, PAGE_ROWS, AuditLog, CannotAudit
from app.audit.wording import money_text, time_text
from app.log import LogRow, decode_row
from domain import events as e
from domain.codec import tag_of
from domain.events import AnyEvent
from domain.figures import Figures, apply

LISTED: Final = 50
"""How many campaigns the text lists; the object has them all."""

MONEY: Final[dict[str, str]] = {
    "pledged_minor": "pledged",
    "charged_minor": "charged",
    "held_minor": "held",
    "paid_minor": "paid to the creator",
    "returned_minor": "returned",
    "fees_minor": "fees",
    "owed_minor": "owed by the creator",
    "written_off_minor": "written off",
    "disputed_minor": "under dispute",
    "on_the_way_minor": "on the way to the creator",
    "suspense_minor": "waiting for staff to place it",
}
"""The numbers that a difference tells, and their words."""

_LIFE: Final[dict[type[AnyEvent], str]] = {
    e.CampaignSubmitted: "was submitted",
    e.CampaignReturned: "was sent back",
    e.CampaignResubmitted: "was submitted again",
    e.CampaignApproved: "was approved",
    e.CampaignLaunched: "was launched",
    e.CampaignSuspended: "was suspended",
    e.CampaignResumed: "was resumed",
    e.DeadlineExtended: "got a later deadline",
    e.CampaignSucceeded: "succeeded",
    e.CampaignFailed: "failed",
    e.CampaignCancelled: "was cancelled",
    e.CampaignSettled: "was settled",
    e.CampaignCompleted: "was completed",
    e.LatePledgesOpened: "opened late pledges",
    e.LatePledgesClosed: "closed late pledges",
}
"""What happens to a campaign as a whole."""

_MOVES: Final[dict[type[AnyEvent], str]] = {
    e.PledgeMade: "pledges made",
    e.PledgeWithdrawn: "pledges withdrawn",
    e.PledgeDropped: "pledges dropped",
    e.PledgeReleased: "pledges released",
    e.PledgeCollected: "charges",
    e.PledgeRefunded: "refunds",
    e.DisputeOpened: "disputes opened",
    e.DisputeWon: "disputes won",
    e.DisputeLost: "disputes lost",
    e.PayoutApproved: "payouts approved",
    e.PayoutSent: "payouts sent",
    e.PayoutFailed: "payouts failed",
    e.PayoutReturned: "payouts returned",
    e.DebtRepaid: "debts repaid",
    e.DebtWrittenOff: "debts written off",
    e.DiscrepancyRecorded: "discrepancies recorded",
    e.DiscrepancyResolved: "discrepancies resolved",
}
"""The words for facts that move an amount of their own."""


class Moved(Struct):
    """Events of one kind: how many, and the sum of their amounts in minor units."""

    count: int = 0
    amount_minor: int = 0


class Happened(Struct, frozen=True):
    """Something that befell a campaign as a whole, in words, with its place and time (ms UTC)."""

    position: int
    at: int
    what: str


class CampaignChange(Struct, kw_only=True):
    """What changed in one campaign, or in all that have one currency.

    `change` says by how much each number changed, in minor units of `currency`; numbers that stand
    as they stood are left out, and so it is with `pledges`, how many more or fewer there are.
    `moves` are the events that moved amounts, by their words; `events` counts all, by their tags.
    `was` are the same numbers before, where one campaign was asked for.
    """

    campaign_id: str
    currency: str
    life: list[Happened]
    change: dict[str, int]
    pledges: int
    moves: dict[str, Moved]
    events: dict[str, int]
    was: dict[str, int] | None = None


class Diff(Struct, frozen=True, kw_only=True):
    """What changed after the position `after` up to `until`, recorded at these times (ms UTC).

    `whole` are the sums of the campaigns by currency; `other` counts the events of other streams by
    their tags.
    """

    after: int
    after_at: int
    until: int
    until_at: int
    events: int
    began: int
    whole: list[CampaignChange]
    campaigns: list[CampaignChange]
    other: dict[str, int]


class _Tally(Struct):
    """One campaign's changes while the log is gone over."""

    currency: str = ""
    life: list[Happened] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)
    moves: dict[str, Moved] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)

    def note(self, position: int, event: AnyEvent) -> None:
        self.events[tag_of(event)] += 1
        apply(self.figures, event)
        kind = type(event)
        if (what := _LIFE.get(kind)) is not None:
            self.life.append(Happened(position, event.at, what))
            if kind is e.CampaignLaunched:
                self.currency = event.currency  # type: ignore[union-attr] # it is one
        elif (word := _MOVES.get(kind)) is not None:
            moved = self.moves.setdefault(word, Moved())
            moved.count += 1
            moved.amount_minor += event.amount_minor  # type: ignore[union-attr] # all of these do
        elif kind is e.PledgeRevised:
            moved = self.moves.setdefault("pledges revised", Moved())
            moved.count += 1
            moved.amount_minor += event.amount_minor - event.was_minor  # type: ignore[union-attr]

    def told(self, campaign_id: str, was: Figures | None = None) -> CampaignChange:
        return CampaignChange(
            campaign_id=campaign_id,
            currency=self.currency,
            life=self.life,
            change={name: amount for name in MONEY if (amount := getattr(self.figures, name))},
            pledges=self.figures.pledges,
            moves=self.moves,
            events=dict(sorted(self.events.items())),
            was=None if was is None else {name: getattr(was, name) for name in MONEY},
        )


def diff(
    log: AuditLog,
    after: int,
    until: int,
    campaign_id: str = "",
    progress: Progress = unseen,
) -> Diff:
    """Say what changed after one position up to another; of one campaign where it is named.

    Memory grows with the campaigns that changed, not with the events. Raises CannotAudit where the
    first position comes after the second or the campaign had not begun, and UnreadableEvent.
    """
    if after > until:
        raise CannotAudit(f"Position {after:,} comes after position {until:,}: turn them round.")
    tallies: dict[str, _Tally] = {}
    other: Counter[str] = Counter()
    was = None
    if campaign_id:
        was = _one_campaign(log, campaign_id, after, until, tallies)
    else:
        _all_campaigns(log, after, until, tallies, other, progress)
    for stream, tally in tallies.items():
        tally.currency = tally.currency or _currency_of(log, stream, until)
    return Diff(
        after=after,
        after_at=_at(log, after),
        until=until,
        until_at=_at(log, until),
        events=sum(tally.events.total() for tally in tallies.values()) + other.total(),
        began=sum(1 for tally in tallies.values() if "campaign.submitted.v1" in tally.events),
        whole=_whole(tallies.values()),
        campaigns=[
            tally.told(stream.removeprefix(CAMPAIGN), was) for stream, tally in tallies.items()
        ],
        other=dict(sorted(other.items())),
    )


def _one_campaign(
    log: AuditLog, campaign_id: str, after: int, until: int, tallies: dict[str, _Tally]
) -> Figures:
    """Tally one campaign's events; return its figures before them."""
    before, tally = Figures(), _Tally()
    begun = False
    for position, event in log.events_of(campaign_id, until):
        begun = True
        if position > after:
            tally.note(position, event)
        else:
            apply(before, event)
    if not begun:
        raise CannotAudit(f"Campaign {campaign_id} had not begun at position {until:,}.")
    if tally.events:
        tallies[CAMPAIGN + campaign_id] = tally
    return before


def _all_campaigns(
    log: AuditLog,
    after: int,
    until: int,
    tallies: dict[str, _Tally],
    other: Counter[str],
    progress: Progress,
) -> None:
    place = after
    while place < until:
        rows = log.read(place, min(PAGE_ROWS, until - place))
        if not rows:
            return
        for row in rows:
            _note_row(row, until, tallies, other)
        place = rows[-1].position
        progress(min(place, until) - after, until - after)


def _note_row(row: LogRow, until: int, tallies: dict[str, _Tally], other: Counter[str]) -> None:
    if row.position > until:  # positions are missing
        return
    event = decode_row(row)
    if event.stream.startswith(CAMPAIGN):
        tallies.setdefault(event.stream, _Tally()).note(row.position, event)
    else:
        other[row.tag] += 1


def _currency_of(log: AuditLog, stream: str, until: int) -> str:
    """A campaign's currency, from the event that began it; empty where that is missing."""
    for row in log.stream_rows(stream, until, 1):
        event = decode_row(row)
        if isinstance(event, e.CampaignSubmitted):
            return event.submission.currency
    return ""


def _at(log: AuditLog, position: int) -> int:
    rows = log.read(position - 1, 1) if position else []
    return rows[0].at if rows else 0


def _whole(tallies: Iterable[_Tally]) -> list[CampaignChange]:
    """The sums of all campaigns, by currency."""
    sums: dict[str, _Tally] = {}
    for tally in tallies:
        into = sums.setdefault(tally.currency, _Tally(tally.currency))
        into.events += tally.events
        for name in structs.asdict(tally.figures):
            setattr(into.figures, name, getattr(into.figures, name) + getattr(tally.figures, name))
        for word, moved in tally.moves.items():
            total = into.moves.setdefault(word, Moved())
            total.count += moved.count
            total.amount_minor += moved.amount_minor
    return [sums[currency].told("") for currency in sorted(sums)]


# --- In words ------------------------------------------------------------------------------------


def describe(found: Diff) -> Iterator[str]:
    """Say it in lines of text."""
    yield (
        f"After position {found.after:,} ({_time(found.after, found.after_at)})"
        f" up to {found.until:,} ({_time(found.until, found.until_at)})"
    )
    campaigns = _counted(len(found.campaigns), "campaign", "campaigns")
    yield (
        f"{_counted(found.events, 'event', 'events')} of {campaigns},"
        f" {found.began:,} of which began"
    )
    for tag, count in found.other.items():
        yield f"  beside the campaigns: {tag}, {count:,} times"
    if len(found.campaigns) != 1:
        for change in found.whole:
            yield f"All campaigns in {change.currency or 'no currency yet'}"
            yield from _described(change)
    for change in found.campaigns[:LISTED]:
        yield f"Campaign {change.campaign_id}"
        yield from _described(change)
    if len(found.campaigns) > LISTED:
        rest = len(found.campaigns) - LISTED
        yield f"… and {rest:,} more campaigns: --campaign shows one, --json all of them"


def _described(change: CampaignChange) -> Iterator[str]:
    for each in change.life:
        yield f"  {each.what} at position {each.position:,}, {time_text(each.at)}"

    def money(amount_minor: int) -> str:
        return money_text(amount_minor, change.currency)

    for word, moved in change.moves.items():
        yield f"  {moved.count:,} {_words(moved.count, word)}, {money(moved.amount_minor)}"
    if not (change.change or change.pledges or change.moves or change.life):
        others = ", ".join(f"{tag} ({count:,})" for tag, count in change.events.items())
        yield f"  no number changed: {others}"
    for name, word in MONEY.items():
        amount_minor = change.change.get(name, 0)
        if not amount_minor:
            continue
        by = f"{'+' if amount_minor > 0 else '-'}{money(abs(amount_minor))}"
        line = f"  {word:<28} {by:>22}"
        if name == "pledged_minor" and change.pledges:
            line += f"  ({change.pledges:+,} {_words(abs(change.pledges), 'pledges')})"
        if change.was is not None:
            was = change.was[name]
            line += f"  from {money(was)} to {money(was + amount_minor)}"
        yield line


def _words(count: int, words: str) -> str:
    """`pledges made` of one is `pledge made`."""
    first, *rest = words.split(" ")
    if count == 1:
        first = f"{first[:-3]}y" if first.endswith("ies") else first[:-1]
    return " ".join((first, *rest))


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _time(position: int, at: int) -> str:
    return time_text(at) if position else "before the first event"
