"""What everybody may see of a campaign besides its page: its money, news, questions, changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Final, TypeVar

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from app.api.access import ApiRequest
from app.api.addresses import reads
from app.api.answers import POSITION_HEADER
from app.api.paging import AtLeast, Cursor, Limit, cursor_of, key_of, listed, page_of
from app.api.problems import Refused
from app.api.reading import (
    CampaignOut,
    FiguresOut,
    UpdateOut,
    campaign_out,
    desk_of_campaign,
    figures_of,
    is_of_team,
    page_of_campaign,
    texts_of,
    told,
    updates_of,
    works_for,
)
from app.audit.explain import NUMBERS, Change, Shown
from app.audit.kept import KEPT
from app.web.public.campaigns import past_of
from app.web.public.past import PayoutLine
from app.web.public.payouts import payouts_of
from app.wiring import Platform
from domain.errors import CampaignUnknown
from projections.facts import day_of, iso_day
from projections.journal import Balance, EntryLine, balances, entries

Line = TypeVar("Line")

SEEN: Final = ("campaign_unknown",)
OURS: Final = (*SEEN, "not_allowed", "other_channel")


class PayoutOut(Struct, frozen=True):
    """A payout as the public sees it, never the account. Times are null for "not yet"."""

    payout_id: str
    milestone_id: str | None
    state: str
    amount_minor: int
    debt_minor: int
    requested_at: int
    decided_at: int | None
    ended_at: int | None


class DayOut(Struct, frozen=True):
    """A UTC day: by how much it changed what is pledged, and what was charged on it."""

    day: str
    pledged_minor: int
    pledges: int
    charged_minor: int


class MoneyOut(Struct, frozen=True):
    """Where a campaign's money is.

    `sources_minor` and `uses_minor` are both sides of *charged + owed + written off = held + paid
    + fees + returned*; they are the same. `balances` are those of its accounts in the books.
    """

    campaign_id: str
    currency: str
    figures: FiguresOut
    sources_minor: int
    uses_minor: int
    payouts: tuple[PayoutOut, ...]
    days: tuple[DayOut, ...]
    balances: tuple[Balance, ...]
    position: int


@reads(
    "/campaigns/{campaign_id:str}/money",
    area="Campaigns",
    summary="Where the money is",
    reasons=SEEN,
)
async def get_money(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    at_least: AtLeast = 0,
) -> Response[MoneyOut]:
    """The five numbers with both sides of their identity, every payout, every day's change, and the
    campaign's accounts in the books.
    """
    page = await page_of_campaign(platform, request.auth, campaign_id, at_least)
    async with platform.views.connect() as connection:
        books = await balances(connection, campaign_id)
    return Response(
        MoneyOut(
            campaign_id=campaign_id,
            currency=page.currency,
            figures=figures_of(page),
            sources_minor=page.charged_minor + page.owed_minor + page.written_off_minor,
            uses_minor=page.held_minor + page.paid_minor + page.fees_minor + page.returned_minor,
            payouts=await _payouts(platform, campaign_id),
            days=tuple(
                DayOut(day.day, day.pledged_minor, day.pledges, day.charged_minor)
                for day in page.days
            ),
            balances=tuple(books),
            position=page.position,
        ),
        headers={POSITION_HEADER: str(page.position)},
    )


async def _payouts(platform: Platform, campaign_id: str) -> tuple[PayoutOut, ...]:
    async with platform.views.connect() as connection:
        found = await payouts_of(connection, campaign_id)
    return tuple(map(payout_out, found))


def payout_out(line: PayoutLine) -> PayoutOut:
    """A payout as programs read it."""
    return PayoutOut(
        line.payout_id,
        line.milestone_id or None,
        line.state,
        line.amount_minor,
        line.debt_minor,
        line.requested_at,
        line.decided_at or None,
        line.ended_at or None,
    )


# --- The books -----------------------------------------------------------------------------------


class EntryOut(Struct, frozen=True):
    """An entry of the books; its lines sum to zero per currency. Debits are positive."""

    position: int
    at: int
    tag: str
    campaign_id: str
    lines: tuple[EntryLine, ...]


class EntriesOut(Struct, frozen=True):
    """A page of entries in the order of the log."""

    entries: tuple[EntryOut, ...]
    next: str | None


@reads(
    "/campaigns/{campaign_id:str}/journal",
    area="Auditors",
    summary="Read a campaign's books",
    reasons=OURS,
)
async def get_journal(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
    at_least: AtLeast = 0,
) -> Response[EntriesOut]:
    """Every entry that the campaign's events posted, line by line, for its team and its channel.

    Entries show single pledges with their times, so the public has the days of `money` instead.
    """
    key = key_of(cursor, "journal", int)
    await desk_of_campaign(platform, request.auth, campaign_id, at_least)
    async with platform.views.connect() as connection:
        rows = await entries(connection, campaign_id, key[0] if key else 0, limit + 1)
    shown, following = page_of(
        request, rows, limit, lambda entry: cursor_of("journal", entry.position)
    )
    said = tuple(EntryOut(e.position, e.at, e.tag, e.campaign_id, e.lines) for e in shown)
    return listed(EntriesOut(said, following), following)


# --- Explaining a number -------------------------------------------------------------------------


class DayChangeOut(Struct, frozen=True):
    """By how much a day moved the number, and to what."""

    day: str
    events: int
    change_minor: int
    total_minor: int


class ExplanationOut(Struct, frozen=True):
    """What a number is made of: its changes by day, and for the team and the channel by event."""

    campaign_id: str
    number: str
    currency: str
    total_minor: int
    position: int
    days: tuple[DayChangeOut, ...]
    changes: tuple[Change, ...] | None


@reads(
    "/campaigns/{campaign_id:str}/explain/{number:str}",
    area="Campaigns",
    summary="Explain a number",
    reasons=(*SEEN, "not_found"),
)
async def explain_number(
    campaign_id: FromPath[str],
    number: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    at_least: AtLeast = 0,
) -> Response[ExplanationOut]:
    """Say which facts of the log make up a number, folded anew from the log itself.

    By the day for everybody; by the event, with the pledge's number, for the team and the channel.
    """
    named = next((known for known in NUMBERS if known == number), None)
    if named is None:
        raise Refused("not_found", f"The numbers are {', '.join(NUMBERS)}.")
    page = await page_of_campaign(platform, request.auth, campaign_id, at_least)
    shown = Shown(getattr(page, f"{named}_minor"), page.position)
    settings = platform.settings
    log = settings.database_url or settings.log_path
    changes = (await KEPT.explained(log, campaign_id, named, shown)).changes
    inside = works_for(request.auth, page.channel) or is_of_team(request.auth, page)
    return Response(
        ExplanationOut(
            campaign_id,
            number,
            page.currency,
            changes[-1].total_minor if changes else 0,
            changes[-1].position if changes else 0,
            _by_day(changes),
            tuple(changes) if inside else None,
        )
    )


def _by_day(changes: Sequence[Change]) -> tuple[DayChangeOut, ...]:
    days: dict[int, tuple[int, int, int]] = {}
    for change in changes:
        day = day_of(change.at)
        events, moved_minor, _ = days.get(day, (0, 0, 0))
        days[day] = (events + 1, moved_minor + change.change_minor, change.total_minor)
    return tuple(DayChangeOut(iso_day(day), *found) for day, found in sorted(days.items()))


# --- As it was -----------------------------------------------------------------------------------


class PastOut(Struct, frozen=True):
    """A campaign as it was: its money then, with names and texts as they may be shown now."""

    campaign: CampaignOut
    payouts: tuple[PayoutOut, ...]
    position: int


@reads(
    "/campaigns/{campaign_id:str}/past",
    area="Campaigns",
    summary="Read a campaign as it was",
    reasons=OURS,
)
async def get_past(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    at: Annotated[
        str,
        QueryParameter(pattern=r"^(\d{4}-\d\d-\d\d)?$", description="The end of this day (UTC)."),
    ] = "",
    position: Annotated[
        int, QueryParameter(ge=0, le=2**62, description="When the log had so many events.")
    ] = 0,
) -> Response[PastOut]:
    """A campaign at the end of a day, or (for its team and its channel) at a position of the log.

    Made anew from the log by the rules themselves.
    """
    page = await page_of_campaign(platform, request.auth, campaign_id)
    if position:
        await desk_of_campaign(platform, request.auth, campaign_id)
        found = await past_of(platform).at_position(campaign_id, position)
    else:
        today = datetime.fromtimestamp(platform.clock() / 1000, UTC).date()
        day = _day(at)
        if day >= today:
            raise Refused("request_invalid", "at: This day is not over.")
        found = await past_of(platform).at_day(
            campaign_id, day.isoformat(), today=today.isoformat()
        )
    if found is None:
        raise CampaignUnknown("It was not launched then.")
    then = found.page
    payouts = tuple(map(payout_out, found.payouts))
    texts = await texts_of(platform, [then, page])
    return Response(PastOut(campaign_out(then, texts), payouts, then.position))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as fault:
        raise Refused("request_invalid", "at: Name a day such as 2026-05-03.") from fault


# --- News, questions, changes --------------------------------------------------------------------


class UpdatesOut(Struct, frozen=True):
    """A page of news, the oldest first."""

    updates: tuple[UpdateOut, ...]
    next: str | None


class QuestionOut(Struct, frozen=True):
    """A question of a backer; `answer` is null while there is none. Who asked is not told."""

    question_id: str
    body: str
    asked_at: int
    answer: str | None
    answered_at: int | None


class QuestionsOut(Struct, frozen=True):
    """A page of questions, the newest first."""

    questions: tuple[QuestionOut, ...]
    next: str | None


class WordsOut(Struct, frozen=True):
    """A campaign's words at one time; empty where they were taken down."""

    title: str
    blurb: str
    story: str
    risks: str


class StoryChangeOut(Struct, frozen=True):
    """A change of the story after the launch."""

    position: int
    at: int
    before: WordsOut
    after: WordsOut


class StoryChangesOut(Struct, frozen=True):
    """A page of changes, the oldest first."""

    changes: tuple[StoryChangeOut, ...]
    next: str | None


def _later(
    request: ApiRequest,
    lines: Sequence[Line],
    named: tuple[str, str, int],
    key: Callable[[Line], tuple[int, str]],
) -> tuple[Sequence[Line], str | None]:
    """A page of lines that are few enough to have been read whole, in the order of their keys."""
    name, cursor, limit = named
    after = key_of(cursor, name, int, str)
    rest = [line for line in sorted(lines, key=key) if after is None or key(line) > after]
    return page_of(request, rest, limit, lambda line: cursor_of(name, *key(line)))


@reads(
    "/campaigns/{campaign_id:str}/updates",
    area="Campaigns",
    summary="Read a campaign's updates",
    reasons=SEEN,
)
async def list_updates(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
    at_least: AtLeast = 0,
) -> Response[UpdatesOut]:
    """The creator's news, the oldest first."""
    page = await page_of_campaign(platform, request.auth, campaign_id, at_least)
    texts = await texts_of(platform, [page])
    shown, following = _later(
        request,
        updates_of(page, texts),
        ("updates", cursor, limit),
        lambda update: (update.at, update.update_id),
    )
    return listed(UpdatesOut(tuple(shown), following), following)


@reads(
    "/campaigns/{campaign_id:str}/questions",
    area="Campaigns",
    summary="Read a campaign's questions",
    reasons=SEEN,
)
async def list_questions(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[QuestionsOut]:
    """What backers asked in public and what the creator's side answered, the newest first."""
    await page_of_campaign(platform, request.auth, campaign_id)
    found = await platform.stores.questions.of_campaign(campaign_id)
    shown, following = _later(
        request,
        found,
        ("questions", cursor, limit),
        lambda question: (-question.asked_at, question.id),
    )
    said = tuple(
        QuestionOut(q.id, q.body, q.asked_at, q.answer or None, q.answered_at) for q in shown
    )
    return listed(QuestionsOut(said, following), following)


@reads(
    "/campaigns/{campaign_id:str}/story-changes",
    area="Campaigns",
    summary="Read how a campaign's story changed",
    reasons=SEEN,
)
async def list_story_changes(
    campaign_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
    at_least: AtLeast = 0,
) -> Response[StoryChangesOut]:
    """Every change of the story after the launch, with the words before and after it."""
    page = await page_of_campaign(platform, request.auth, campaign_id, at_least)
    shown, following = _later(
        request,
        page.story_changes,
        ("story-changes", cursor, limit),
        lambda change: (change.position, ""),
    )
    hashes = {text for change in shown for text in (change.before, change.after)}
    texts = await platform.stores.content.get_many(hashes - {""})

    def words(text_hash: str) -> WordsOut:
        return WordsOut(
            *(told(texts, text_hash, part) for part in ("title", "blurb", "story", "risks"))
        )

    said = tuple(
        StoryChangeOut(change.position, change.at, words(change.before), words(change.after))
        for change in shown
    )
    return listed(StoryChangesOut(said, following), following)


HANDLERS: Final = (
    get_money,
    get_journal,
    explain_number,
    get_past,
    list_updates,
    list_questions,
    list_story_changes,
)
