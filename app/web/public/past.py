"""A campaign's page as it was: one pass over its events keeps the page of each day's end.

Made by the domain's own `evolve`, not from the views, so that the past that a page shows and the
present that the views show are two answers to one question; a test compares them. A day that is
over never changes, so what was made once is kept, within bounds.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterator
from datetime import date, timedelta
from threading import Lock
from typing import Final

from msgspec import Struct

from app.log import EventLog, decode_row
from domain import events as e
from domain.campaign import evolve
from domain.events import AnyEvent
from domain.state import Campaign, Status, new_campaign
from domain.terms import Terms
from projections.campaign_pages import (
    CampaignPage,
    DayLine,
    MilestoneLine,
    NeedLine,
    OfferLine,
    RewardLine,
    StoryLine,
    UpdateLine,
)
from projections.facts import day_of, iso_day

EVENTS_READ: Final = 10_000
"""Events of one read; each is a transaction of its own, so that the log can move on."""

MOST_CAMPAIGNS: Final = 32
"""Campaigns whose days are kept."""

MOST_MOMENTS: Final = 128
"""Single positions whose page is kept."""

_LEFT: Final = frozenset((Status.WITHDRAWN, Status.DROPPED, Status.RELEASED))
_TAKEN: Final = ("accepted", "received")


class PayoutLine(Struct, frozen=True):
    """A payout as the public sees it: never the account. Times are ms UTC, 0 for "not yet"."""

    payout_id: str
    milestone_id: str
    state: str
    amount_minor: int
    debt_minor: int
    requested_at: int
    decided_at: int
    ended_at: int


class Moment(Struct, frozen=True):
    """A campaign's page at one time, and its payouts then, in the order of their requests.

    `version` and `at` are those of its last event.
    """

    page: CampaignPage
    payouts: tuple[PayoutLine, ...]
    version: int
    at: int


class History(Struct, frozen=True):
    """The moments at the ends of all days on which something happened, up to `until` (a day)."""

    days: tuple[str, ...]
    moments: tuple[Moment, ...]
    until: str

    def at(self, day: str) -> Moment | None:
        """How things stood at the end of a day; None before the launch."""
        index = bisect_right(self.days, day) - 1
        if index < 0 or self.moments[index].page.launched_at is None:
            return None
        return self.moments[index]


class Past:
    """The past of every campaign, as far as somebody asked for it."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._lock = Lock()
        self._histories: OrderedDict[str, History] = OrderedDict()
        self._moments: OrderedDict[tuple[str, int], Moment] = OrderedDict()
        self._making: dict[str, asyncio.Future[History]] = {}

    async def at_day(self, campaign_id: str, day: str, *, today: str) -> Moment | None:
        """How a campaign stood at the end of a day before `today`; None before its launch."""
        known = self._recall(campaign_id, day)
        if known is None:
            making = self._making.get(campaign_id)
            if making is None:
                making = asyncio.ensure_future(asyncio.to_thread(self._history, campaign_id, today))
                self._making[campaign_id] = making
                making.add_done_callback(lambda _: self._making.pop(campaign_id, None))
            # Who leaves does not stop it for those who ask for the same meanwhile.
            known = await asyncio.shield(making)
        return known.at(day)

    async def at_position(self, campaign_id: str, position: int) -> Moment | None:
        """How a campaign stood when the log had this many events; None before its launch."""
        with self._lock:
            kept = self._moments.get((campaign_id, position))
        if kept is None:
            kept = await asyncio.to_thread(self._moment, campaign_id, position)
        return kept

    def _recall(self, campaign_id: str, day: str) -> History | None:
        with self._lock:
            known = self._histories.get(campaign_id)
            if known is None or day > known.until:
                return None
            self._histories.move_to_end(campaign_id)
            return known

    def _history(self, campaign_id: str, today: str) -> History:
        made = history(self._events(campaign_id), today)
        with self._lock:
            self._histories[campaign_id] = made
            while len(self._histories) > MOST_CAMPAIGNS:
                self._histories.popitem(last=False)
        return made

    def _moment(self, campaign_id: str, position: int) -> Moment | None:
        fold = Fold(campaign_id)
        for place, event in self._events(campaign_id):
            if place > position:
                break
            fold.add(place, event)
        made = fold.moment() if fold.launched_at is not None else None
        # What the log does not hold yet is not past: it would be kept as it is today.
        if made is not None and position <= self._log.last()[0]:
            with self._lock:
                self._moments[campaign_id, position] = made
                while len(self._moments) > MOST_MOMENTS:
                    self._moments.popitem(last=False)
        return made

    def _events(self, campaign_id: str) -> Iterator[tuple[int, AnyEvent]]:
        stream, version = f"campaign:{campaign_id}", 0
        while rows := self._log.read_stream(stream, version, EVENTS_READ):
            for row in rows:
                yield row.position, decode_row(row)
            version = rows[-1].version


def history(events: Iterator[tuple[int, AnyEvent]], today: str) -> History:
    """The moments of all days before `today`."""
    fold: Fold | None = None
    days: list[str] = []
    moments: list[Moment] = []
    current = -1
    for position, event in events:
        if fold is None:
            fold = Fold(event.stream.removeprefix("campaign:"))
        day = day_of(event.at)
        if day != current:
            if current >= 0:
                days.append(iso_day(current))
                moments.append(fold.moment())
            if iso_day(day) >= today:
                break
            current = day
        fold.add(position, event)
    else:
        if fold is not None:
            days.append(iso_day(current))
            moments.append(fold.moment())
    return History(tuple(days), tuple(moments), _day_before(today))


def _day_before(iso: str) -> str:
    return (date.fromisoformat(iso) - timedelta(days=1)).isoformat()


class Fold:
    """A campaign's page growing event by event; what rules do not remember is counted beside."""

    def __init__(self, campaign_id: str) -> None:
        self._state = new_campaign(campaign_id)
        self._position = 0
        self.launched_at: int | None = None
        self._text = ""
        self._plan = ""
        self._terms = Terms()
        self._pledged_at_deadline: int | None = None
        self._sent = 0
        self._received = 0
        self._standing: Counter[str] = Counter()
        self._updates: list[UpdateLine] = []
        self._stories: list[StoryLine] = []
        self._days: dict[int, list[int]] = {}
        self._closed: list[DayLine] = []
        self._payouts: dict[str, list[int]] = {}

    def add(self, position: int, event: AnyEvent) -> None:
        """Add the event at a position."""
        kind = type(event)
        figures = self._state.figures
        if kind in _MOVES:
            was = figures.pledged_minor, figures.pledges, figures.charged_minor
            evolve(self._state, event)
            day = self._days.setdefault(day_of(event.at), [0, 0, 0])
            day[0] += figures.pledged_minor - was[0]
            day[1] += figures.pledges - was[1]
            day[2] += figures.charged_minor - was[2]
        else:
            evolve(self._state, event)
        if kind not in _PASSED_OVER:
            self._note(position, event)
        self._position = position

    def moment(self) -> Moment:
        """How things stand after what was added."""
        state = self._state
        return Moment(
            page=self._page(state),
            payouts=tuple(
                PayoutLine(
                    payout_id,
                    payout.milestone_id,
                    payout.state,
                    payout.amount_minor,
                    payout.debt_minor,
                    *self._payouts[payout_id],
                )
                for payout_id, payout in state.payouts.items()
            ),
            version=state.version,
            at=state.last_at,
        )

    def _page(self, state: Campaign) -> CampaignPage:
        bound, figures = state.bound, state.figures
        return CampaignPage(
            campaign_id=state.campaign_id,
            channel=state.channel,
            creator=bound.creator,
            phase=state.phase.value,
            suspended=state.suspended,
            late_open=state.late_open,
            model=bound.model,
            currency=bound.currency,
            goal_minor=bound.goal_minor,
            deadline_at=state.deadline_at or bound.deadline_at,
            launched_at=self.launched_at,
            text=self._text,
            plan=self._plan,
            terms=self._terms,
            pledged_minor=figures.pledged_minor,
            pledges=figures.pledges,
            backers=len(self._standing),
            pledged_at_deadline_minor=self._pledged_at_deadline,
            charged_minor=figures.charged_minor,
            held_minor=figures.held_minor,
            on_the_way_minor=figures.on_the_way_minor,
            paid_minor=figures.paid_minor,
            returned_minor=figures.returned_minor,
            fees_minor=figures.fees_minor,
            owed_minor=figures.owed_minor,
            written_off_minor=figures.written_off_minor,
            disputed_minor=figures.disputed_minor,
            suspense_minor=figures.suspense_minor,
            sent=self._sent,
            received=self._received,
            rewards=tuple(_reward_lines(state)),
            needs=tuple(_need_lines(state)),
            updates=tuple(self._updates),
            milestones=tuple(
                MilestoneLine(stage.milestone_id, stage.share_bps, stage.text)
                for stage in bound.milestones
            ),
            team=tuple(sorted({bound.creator, *bound.team})),
            story_changes=tuple(self._stories),
            days=self._day_lines(),
            position=self._position,
        )

    def _day_lines(self) -> tuple[DayLine, ...]:
        """The days so far. Those before the last can change no more, and are made once."""
        days = list(self._days.items())
        for day, moved in days[len(self._closed) : -1]:
            self._closed.append(DayLine(iso_day(day), *moved))
        last = [DayLine(iso_day(day), *moved) for day, moved in days[-1:]]
        return (*self._closed, *last)

    def _note(self, position: int, event: AnyEvent) -> None:
        """Remember what the page shows and no rule needs."""
        match event:
            case e.PledgeMade():
                self._standing[event.backer] += 1
            case e.PledgeWithdrawn() | e.PledgeDropped() | e.PledgeReleased():
                self._leave(self._state.pledges[event.no - 1].backer)
            case e.CampaignSubmitted() | e.CampaignResubmitted():
                self._text = event.submission.text
                self._terms = event.submission.terms
            case e.CampaignLaunched():
                self.launched_at = event.at
                self._terms = event.terms
            case e.CampaignSucceeded():
                self._pledged_at_deadline = event.pledged_minor
            case e.CampaignFailed():
                self._pledged_at_deadline = event.pledged_minor
                self._recount()
            case e.CampaignCancelled():
                self._recount()
            case e.UpdatePosted():
                self._updates.append(UpdateLine(event.update_id, event.at, event.text))
            case e.StoryChanged():
                self._stories.append(StoryLine(position, event.at, self._text, event.text))
                self._text = event.text
            case e.PlanUpdated():
                self._plan = event.text
            case e.DeliveryMarked():
                self._sent += len(event.nos)
            case e.DeliveryReceived():
                self._received += 1
            case e.PayoutRequested():
                self._payouts[event.payout_id] = [event.at, 0, 0]
            case e.PayoutApproved() | e.PayoutRefused():
                self._payouts[event.payout_id][1] = event.at
            case e.PayoutSent() | e.PayoutFailed() | e.PayoutReturned():
                self._payouts[event.payout_id][2] = event.at
            case _:
                pass

    def _leave(self, backer: str) -> None:
        self._standing[backer] -= 1
        if not self._standing[backer]:
            del self._standing[backer]

    def _recount(self) -> None:
        """An end releases many pledges in one event."""
        self._standing = Counter(
            pledge.backer for pledge in self._state.pledges if pledge.status not in _LEFT
        )


def _reward_lines(state: Campaign) -> Iterator[RewardLine]:
    for stock in state.stocks.values():
        reward = stock.reward
        yield RewardLine(
            reward_id=reward.reward_id,
            price_minor=reward.price_minor,
            limit=reward.limit,
            claimed=stock.claimed,
            held=stock.held,
            delivery_at=reward.delivery_at,
            add_on=reward.add_on,
            text=reward.text,
            shipping=reward.shipping,
        )


def _need_lines(state: Campaign) -> Iterator[NeedLine]:
    for need in state.bound.needs:
        offers = tuple(
            OfferLine(offer_id, offer.party, offer.quantity, offer.state)
            for offer_id, offer in state.offers.items()
            if offer.need_id == need.need_id
        )
        accepted = sum(offer.quantity for offer in offers if offer.state in _TAKEN)
        yield NeedLine(need.need_id, need.quantity, need.text, accepted, offers)


_MOVES: Final = frozenset(
    (
        *(e.PledgeMade, e.PledgeRevised, e.PledgeWithdrawn, e.PledgeDropped, e.PledgeReleased),
        *(e.PledgeCollected, e.CampaignFailed, e.CampaignCancelled),
    )
)
"""Facts that a day's progress counts, as `projections.page_fold` does."""

_PASSED_OVER: Final = frozenset((e.CollectionRequested, e.PledgeCollected, e.HoldPlaced))
"""Facts that come once for every pledge and that the page knows from its figures alone."""
