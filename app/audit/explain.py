"""Which events one number of a campaign is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from app.audit.reader import AuditLog, CannotAudit
from app.audit.wording import money_text, time_text
from domain.codec import tag_of
from domain.events import AnyEvent, CampaignLaunched, CampaignResubmitted, CampaignSubmitted
from domain.figures import Figures, apply

Number = Literal["pledged", "charged", "held", "paid", "returned", "fees", "owed"]

NUMBERS: Final[tuple[Number, ...]] = (
    "pledged",
    "charged",
    "held",
    "paid",
    "returned",
    "fees",
    "owed",
)
"""The five numbers, and the two that make them reconcile."""


class Change(Struct, frozen=True):
    """One event's part: the number moved by `change_minor` to `total_minor`.

    `no` is the pledge that the event is about, None where it is about more than one or none.
    """

    position: int
    at: int
    kind: str
    no: int | None
    change_minor: int
    total_minor: int


class Shown(NamedTuple):
    """What a campaign's page shows of a number, and how far the page has read the log."""

    amount_minor: int
    position: int


class Page(Struct, frozen=True):
    """What the campaign's page shows at `position`, and whether the events say the same."""

    position: int
    shown_minor: int
    agrees: bool


class Explanation(Struct, frozen=True, omit_defaults=True):
    """A number of a campaign at a position, and every event that moved it until then."""

    campaign_id: str
    number: Number
    currency: str
    position: int
    total_minor: int
    changes: list[Change]
    page: Page | None = None


def explain(
    log: AuditLog, campaign_id: str, number: Number, position: int, shown: Shown | None = None
) -> Explanation:
    """Find what one number is made of, and compare it with what was `shown` up to there.

    Raises CannotAudit where the campaign had not begun.
    """
    figures = Figures()
    name = f"{number}_minor"
    total_minor = 0
    currency = ""
    changes: list[Change] = []
    for place, event in log.events_of(campaign_id, position):
        currency = _currency_of(event) or currency
        apply(figures, event)
        now_minor: int = getattr(figures, name)
        if now_minor != total_minor:
            no: int | None = getattr(event, "no", None)
            moved_minor = now_minor - total_minor
            changes.append(Change(place, event.at, tag_of(event), no, moved_minor, now_minor))
            total_minor = now_minor
    if not currency:
        raise CannotAudit(f"Campaign {campaign_id} had not begun at position {position:,}.")
    page = None
    if shown is not None:
        agrees = shown.amount_minor == _total_at(changes, shown.position)
        page = Page(shown.position, shown.amount_minor, agrees)
    return Explanation(campaign_id, number, currency, position, total_minor, changes, page)


def _total_at(changes: list[Change], position: int) -> int:
    until = (change.total_minor for change in reversed(changes) if change.position <= position)
    return next(until, 0)


def _currency_of(event: AnyEvent) -> str:
    match event:
        case CampaignSubmitted() | CampaignResubmitted():
            return event.submission.currency
        case CampaignLaunched():
            return event.currency
        case _:
            return ""


def describe(found: Explanation) -> Iterator[str]:
    """Say it in lines of text."""
    currency = found.currency
    yield f"{found.number} of campaign {found.campaign_id} at position {found.position:,}"
    yield (
        f"{'position':>12}  {'time':<24}  {'event':<30} {'pledge':>9} {'change':>20} {'total':>20}"
    )
    for change in found.changes:
        no = "" if change.no is None else f"{change.no:,}"
        moved = money_text(change.change_minor, currency)
        total = money_text(change.total_minor, currency)
        yield (
            f"{change.position:>12,}  {time_text(change.at):<24}  {change.kind:<30} {no:>9}"
            f" {moved:>20} {total:>20}"
        )
    yield f"{len(found.changes):,} events, {money_text(found.total_minor, currency)}"
    if found.page is not None:
        shown = money_text(found.page.shown_minor, currency)
        verdict = "the same" if found.page.agrees else "NOT what the events say"
        yield f"The campaign's page shows {shown} at position {found.page.position:,}: {verdict}"
