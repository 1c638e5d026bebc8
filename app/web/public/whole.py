"""The whole public page: a campaign's view, and what hangs on it, now or on a past day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from app.stores.channels import UnknownChannelError
from app.stores.questions import Question
from app.web import dates
from app.web.creator.similar import similar_to
from app.web.curve import BOTTOM, LEFT, RIGHT, TOP, Curve
from app.web.public.campaign_view import (
    CampaignView,
    Texts,
    compose,
    curve_ends_at,
    in_language,
    texts_of,
)
from app.web.public.numbers import Numbers, numbers_of
from app.web.public.past import PayoutLine
from app.web.public.payouts import (
    PayoutView,
    StageLine,
    payouts_of,
    stage_lines,
    with_stages,
)
from app.web.site import Site
from app.web.visitors import Visitor
from app.wiring import Platform
from domain.state import Phase
from domain.terms import MAX_AT
from projections.backer_ledger import pledges_of
from projections.campaign_pages import CampaignPage, campaigns_of

WON: Final = frozenset((Phase.SUCCEEDED, Phase.SETTLED, Phase.COMPLETED))
QUESTIONS_SHOWN: Final = 3
OTHERS_SHOWN: Final = 4
MOST_PARTIES: Final = 20
"""Of a person's earlier parties, how many are looked through for pledges to this campaign."""


class OtherCampaign(Struct, frozen=True):
    """Another campaign of the same creator."""

    page: CampaignPage
    title: str


class TrackRecord(Struct, frozen=True):
    """What a creator's other campaigns came to; `sent` and `received` count deliveries."""

    others: tuple[OtherCampaign, ...]
    launched: int
    won: int
    failed: int
    cancelled: int
    sent: int
    received: int


class QuestionView(Struct, frozen=True):
    """A question as a reader sees it; `mine` when the reader asked it."""

    question: Question
    mine: bool


class Then(Struct, frozen=True):
    """The past day that is shown, and the ways to others; addresses are empty where none is.

    `index` of `last` is where the slider stands, in days since the launch. `by_event`: the page
    is that of a position, not of a day's end.
    """

    day: str
    at: int
    position: int
    index: int
    last: int
    before: str
    after: str
    by_event: bool = False


class Reader(Struct, frozen=True):
    """What who looks may do here. `parties` are theirs that back the campaign, newest pledge
    first; `team`: of the creator's side; `works`: of the channel's staff; `follows`: gets mail.
    """

    parties: tuple[str, ...] = ()
    pledge_nos: tuple[int, ...] = ()
    own_day: str = ""
    signed_in: bool = False
    team: bool = False
    works: bool = False
    audits: bool = False
    follows: bool = False

    @property
    def backs(self) -> bool:
        """Whether they back the campaign."""
        return bool(self.parties)

    @property
    def sees_positions(self) -> bool:
        """Whether they may look at the past event by event."""
        return self.team or self.works or self.audits


class Band(Struct, frozen=True):
    """The middle half of so many similar campaigns, as an outline on the funding curve."""

    path: str
    count: int


class WholePage(Struct, frozen=True):
    """Everything a template needs. `at` is the time that is shown, ms UTC."""

    view: CampaignView
    numbers: Numbers
    payouts: tuple[PayoutView, ...]
    stages: tuple[StageLine, ...]
    record: TrackRecord
    questions: tuple[QuestionView, ...]
    questions_in_all: int
    channel: str
    at: int
    then: Then | None = None
    draft: bool = False
    band: Band | None = None

    @property
    def stated(self) -> CampaignPage:
        """The page whose state is told in a sentence. On a past day a deadline was still ahead."""
        page = self.view.page
        if self.then is None or page.phase != Phase.LIVE or page.deadline_at <= self.at:
            return page
        return msgspec.structs.replace(page, deadline_at=MAX_AT)

    @property
    def moves(self) -> bool:
        """Whether its numbers can still change by themselves."""
        return self.open and self.view.page.phase != Phase.COMPLETED

    @property
    def open(self) -> bool:
        """Whether anybody can do something here: not on a past day, not on a draft."""
        return self.then is None and not self.draft


class Surroundings(Struct, frozen=True):
    """What stands on a campaign's page beside its numbers: read from other tables, and the same
    after a pledge as before it. `others` are the campaigns of the same creator, `titles` their
    texts by hash.
    """

    texts: Texts
    creator: str
    asked: Sequence[Question]
    others: Sequence[CampaignPage]
    titles: Texts
    channel: str


async def surroundings_of(site: Site, page: CampaignPage) -> Surroundings:
    """Read what stands around a page's numbers."""
    platform = site.platform
    async with platform.views.connect() as connection:
        found = await campaigns_of(connection, page.creator)
    others = [
        other
        for other in found
        if other.launched_at is not None
        and other.campaign_id != page.campaign_id
        and other.creator == page.creator
    ]
    titles = {other.text for other in others[:OTHERS_SHOWN]} - {""}
    names = await platform.stores.people.names([page.creator])
    return Surroundings(
        texts=await texts_of(platform, page),
        creator=names.get(page.creator, ""),
        asked=await platform.stores.questions.of_campaign(page.campaign_id),
        others=others,
        titles=await platform.stores.content.get_many(titles),
        channel=await channel_name(site, page.channel),
    )


async def reader_of(site: Site, page: CampaignPage, visitor: Visitor) -> Reader:
    """What this visitor may do on this page."""
    if not visitor.party:
        return Reader()
    mine = []
    async with site.platform.views.connect() as connection:
        for party in sorted(visitor.parties)[:MOST_PARTIES]:
            found = await pledges_of(connection, party)
            mine += [(line, party) for line in found if line.campaign_id == page.campaign_id]
    standing = sorted(
        ((line, party) for line, party in mine if line.standing), key=lambda found: -found[0].no
    )
    return Reader(
        parties=tuple(dict.fromkeys(party for _, party in standing)),
        pledge_nos=tuple(line.no for line, _ in standing),
        own_day=_iso(standing[-1][0].made_at) if standing else "",
        signed_in=visitor.signed_in,
        team=visitor.signed_in and not visitor.parties.isdisjoint(page.team),
        works=visitor.is_in(page.channel, "staff", "treasurer"),
        audits=visitor.is_in(page.channel, "auditor"),
        follows=visitor.signed_in
        and await site.platform.mail.follows.follows(page.campaign_id, visitor.party),
    )


def _iso(at: int) -> str:
    return dates.moment(at).date().isoformat()


async def whole_page(
    site: Site,
    page: CampaignPage,
    reader: Reader,
    *,
    payouts: Sequence[PayoutLine] | None = None,
    then: Then | None = None,
    visitor: Visitor | None = None,
    around: Surroundings | None = None,
) -> WholePage:
    """Gather the page. On a past day `page` and `payouts` are those of `then`; `around` is what was
    read before, if it was.
    """
    platform = site.platform
    at = then.at if then is not None else platform.clock()
    if payouts is None:
        payouts = await _payouts(platform, page)
    if around is None:
        around = await surroundings_of(site, page)
    view = compose(page, around.texts, around.creator, now=at, own_day=reader.own_day)
    shown = [question for question in around.asked if question.asked_at <= at]
    return WholePage(
        view=view,
        numbers=numbers_of(page),
        payouts=with_stages(payouts, view.stages),
        stages=stage_lines(payouts, view.stages),
        record=_record(around),
        questions=question_views(shown[:QUESTIONS_SHOWN], visitor, at=at),
        questions_in_all=len(shown),
        channel=around.channel,
        at=at,
        then=then,
        band=await _band(site, page, view.curve),
    )


async def _band(site: Site, page: CampaignPage, curve: Curve) -> Band | None:
    """The middle half of similar campaigns; None where there are too few of them."""
    similar = await similar_to(site.platform, page, site.platform.clock())
    if not similar.steps or page.launched_at is None:
        return None
    span = curve_ends_at(page) - page.launched_at
    width = (RIGHT - LEFT) * (page.deadline_at - page.launched_at) / span
    goal = BOTTOM - curve.goal_y

    def point(step: int, share: float) -> str:
        x = LEFT + width * step / (len(similar.steps) - 1)
        return f"{x:.1f},{max(TOP, BOTTOM - goal * share):.1f}"

    upper = [point(step, high) for step, (_, _, high) in enumerate(similar.steps)]
    lower = [point(step, low) for step, (low, _, _) in enumerate(similar.steps)]
    return Band(f"M{' L'.join([*upper, *reversed(lower)])} Z", similar.count)


def question_views(
    questions: Sequence[Question], visitor: Visitor | None, *, at: int
) -> tuple[QuestionView, ...]:
    """Questions as they stood at a time: without answers that came later."""
    parties = visitor.parties if visitor is not None else frozenset()
    return tuple(
        QuestionView(
            question
            if (question.answered_at or 0) <= at
            else msgspec.structs.replace(question, answer="", answered_at=None),
            question.party in parties,
        )
        for question in questions
    )


async def channel_name(site: Site, channel: str) -> str:
    """What a channel is called; empty where it is not known."""
    try:
        return (await site.platform.stores.channels.get(channel)).name
    except UnknownChannelError:
        return ""


async def _payouts(platform: Platform, page: CampaignPage) -> Sequence[PayoutLine]:
    if not page.charged_minor:
        return ()  # what was never charged cannot be paid out
    async with platform.views.connect() as connection:
        return await payouts_of(connection, page.campaign_id)


def _record(around: Surroundings) -> TrackRecord:
    others = around.others
    return TrackRecord(
        others=tuple(
            OtherCampaign(other, in_language(around.titles.get(other.text, {}), "title"))
            for other in others[:OTHERS_SHOWN]
        ),
        launched=len(others),
        won=sum(other.phase in WON for other in others),
        failed=sum(other.phase == Phase.FAILED for other in others),
        cancelled=sum(other.phase == Phase.CANCELLED for other in others),
        sent=sum(other.sent for other in others),
        received=sum(other.received for other in others),
    )
