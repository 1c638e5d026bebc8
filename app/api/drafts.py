"""Drafts: a campaign as it is being written, until it is handed in.

A draft keeps what was typed as it was typed, an amount as text too: only its submission needs it
to be an amount. The checklist says what is still amiss. Edits name the version they are meant for.
"""

from __future__ import annotations

import contextlib
import re
from typing import Annotated, Any, Final

import msgspec
from litestar import HttpMethod, Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from app.api.access import ApiRequest
from app.api.addresses import Notes, address, reads, writes
from app.api.answers import POSITION_HEADER
from app.api.bodies import Body, Word
from app.api.campaigns import SubmittedOut
from app.api.intake import channel_of
from app.api.paging import Cursor, Limit, cursor_of, key_of, listed, page_of
from app.api.problems import Refused
from app.api.repeating import carried_out, idempotency_key, planned
from app.publishing import require_fit, with_texts
from app.stores.api_keys import ApiKey
from app.stores.drafts import Draft, StaleDraftError, UnknownDraftError
from app.stores.rows import new_id
from app.web.creator.checklist import checklist
from app.web.creator.drafting import (
    DraftBody,
    bare_submission,
    body_of,
    manuscript,
)
from app.web.creator.editor import handed_in, is_first_time
from app.wiring import Platform
from domain.commands import Command, ResubmitCampaign, SubmitCampaign
from domain.errors import WrongPhase
from domain.state import Phase
from domain.terms import Submission

MAX_DRAFT_BYTES: Final = 4 * 2**20
_MARK: Final = re.compile(r'"r(\d{1,15})"', re.ASCII).fullmatch

Short = Annotated[str, Meta(max_length=200)]
Story = Annotated[str, Meta(max_length=100_000)]
Passage = Annotated[str, Meta(max_length=5_000)]
Amount = Annotated[str, Meta(max_length=40, description="An amount as it is typed: `1,200.50`.")]


class FeeIn(Body, frozen=True, kw_only=True):
    """A row of a shipping table: a country code or `*`, and what sending one piece costs."""

    region: Annotated[str, Meta(max_length=6)] = ""
    fee: Amount = ""


class DraftRewardIn(Body, frozen=True, kw_only=True):
    """A reward as it is being written; `delivery` is a month, `2026-09`. Without an id one is
    made.
    """

    id: Word = ""
    title: Short = ""
    description: Passage = ""
    price: Amount = ""
    limit: Amount = ""
    delivery: Amount = ""
    add_on: bool = False
    shipping: Annotated[tuple[FeeIn, ...], Meta(max_length=40)] = ()


class DraftNeedIn(Body, frozen=True, kw_only=True):
    """Something that is asked for besides money."""

    id: Word = ""
    title: Short = ""
    description: Passage = ""
    quantity: Amount = ""


class DraftMilestoneIn(Body, frozen=True, kw_only=True):
    """A stage of the work; `share` is in percent."""

    id: Word = ""
    title: Short = ""
    description: Passage = ""
    share: Amount = ""


class DraftWordsIn(Body, frozen=True, kw_only=True):
    """The campaign's words in another language."""

    title: Short = ""
    blurb: Annotated[str, Meta(max_length=500)] = ""
    story: Story = ""
    risks: Story = ""


class DraftIn(Body, frozen=True, kw_only=True):
    """A whole draft. `deadline` is a day, `2026-09-30`; `cover` the hash of a picture that was
    uploaded; `team` are party ids.
    """

    title: Short = ""
    blurb: Annotated[str, Meta(max_length=500)] = ""
    story: Story = ""
    risks: Story = ""
    category: Short = ""
    language: Word = "en"
    cover: Word = ""
    model: Word = "all_or_nothing"
    currency: Annotated[str, Meta(max_length=3)] = ""
    goal: Amount = ""
    deadline: Amount = ""
    rewards: Annotated[tuple[DraftRewardIn, ...], Meta(max_length=60)] = ()
    needs: Annotated[tuple[DraftNeedIn, ...], Meta(max_length=60)] = ()
    milestones: Annotated[tuple[DraftMilestoneIn, ...], Meta(max_length=60)] = ()
    team: Annotated[tuple[Word, ...], Meta(max_length=50)] = ()
    translations: Annotated[dict[Word, DraftWordsIn], Meta(max_length=10)] = msgspec.field(
        default_factory=dict
    )


class NewDraftIn(Body, frozen=True, kw_only=True):
    """Where a draft begins; `channel` may be left out where there is only one."""

    channel: Word = ""
    draft: DraftIn = msgspec.field(default_factory=DraftIn)


class DraftOut(Struct, frozen=True):
    """A draft. Its id becomes its campaign's. `phase` is null before it is handed in."""

    draft_id: str
    channel: str
    creator_id: str
    revision: int
    created_at: int
    updated_at: int
    submitted_at: int | None
    phase: str | None
    draft: DraftBody


class DraftLineOut(Struct, frozen=True):
    """A draft in a list."""

    draft_id: str
    channel: str
    title: str
    revision: int
    updated_at: int
    submitted_at: int | None


class DraftsOut(Struct, frozen=True):
    """A page of drafts, the last touched first."""

    drafts: tuple[DraftLineOut, ...]
    next: str | None


class ItemOut(Struct, frozen=True):
    """A line of the checklist: the field it is about, what to do, and whether it is done."""

    field: str
    said: str
    done: bool


class ChecklistOut(Struct, frozen=True):
    """What a draft needs to be handed in; `ready` where all is done."""

    ready: bool
    items: tuple[ItemOut, ...]


class _Begun(Struct, frozen=True):
    """A draft that is to begin."""

    draft_id: str
    body: DraftBody
    at: int


_NEW: Final = NewDraftIn()
_AREA: Final = "Creators"
_EDIT: Final = {"If-Match": "The version that is meant.", "ETag": "The version that it is now."}
_EXAMPLE: Final = {"title": "Film nights under the viaduct", "goal": "80,000", "currency": "CNY"}


@writes(
    "/drafts",
    "campaigns:write",
    status=201,
    notes=Notes(area=_AREA, example={"draft": _EXAMPLE}, headers={"ETag": ""}),
    request_max_body_size=MAX_DRAFT_BYTES,
    summary="Begin a draft",
)
async def begin_draft(
    request: ApiRequest, platform: NamedDependency[Platform], *, data: JSONBody[NewDraftIn] = _NEW
) -> Response[DraftOut]:
    """Begin a draft in a channel."""
    channel = await channel_of(platform, data.channel)

    drafts = platform.stores.drafts
    body = _body(data.draft)
    body.currency = body.currency or channel.currencies[0]

    async def begin(plan: _Begun) -> None:
        with contextlib.suppress(UnknownDraftError):
            await drafts.get(plan.draft_id)
            return
        await drafts.create(
            channel=channel.id,
            creator=request.auth.owner,
            body=plan.body.stored(),
            at=plan.at,
            draft_id=plan.draft_id,
        )

    plan = _Begun(new_id(), body, platform.clock())
    begun = await carried_out(platform, request, plan, begin)
    draft, _ = await own_draft(platform, request.auth, begun.draft_id)
    return _draft_out(draft, "", status_code=201)


@reads("/drafts", "campaigns:read", "campaigns:write", area=_AREA, summary="List my drafts")
async def list_drafts(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Response[DraftsOut]:
    """The drafts that the key's owner began, the last touched first."""
    after = key_of(cursor, "drafts", int, str)
    found = await platform.stores.drafts.of_creator(request.auth.owner)
    rest = [draft for draft in found if after is None or _last_first(draft) > after]
    shown, following = page_of(
        request, rest, limit, lambda draft: cursor_of("drafts", *_last_first(draft))
    )
    lines = tuple(
        DraftLineOut(
            draft.id,
            draft.channel,
            body_of(draft.body).title,
            draft.revision,
            draft.updated_at,
            draft.submitted_at,
        )
        for draft in shown
    )
    return listed(DraftsOut(lines, following), following)


def _last_first(draft: Draft) -> tuple[int, str]:
    return -draft.updated_at, draft.id


@reads(
    "/drafts/{draft_id:str}",
    "campaigns:read",
    "campaigns:write",
    area=_AREA,
    summary="Read a draft",
    reasons=("not_found",),
)
async def get_draft(
    draft_id: FromPath[str], request: ApiRequest, platform: NamedDependency[Platform]
) -> Response[DraftOut]:
    """A draft of the key's owner, or one on whose team the owner is; `ETag` is its version."""
    draft, _ = await own_draft(platform, request.auth, draft_id)
    page = await handed_in(platform, draft_id)
    return _draft_out(draft, page.phase if page else "")


@address(
    "/drafts/{draft_id:str}",
    (HttpMethod.PUT,),
    Notes(area=_AREA, reasons=("not_found", "wrong_phase"), example=_EXAMPLE, headers=_EDIT),
    scopes=("campaigns:write",),
    summary="Edit a draft",
    request_max_body_size=MAX_DRAFT_BYTES,
)
async def edit_draft(
    draft_id: FromPath[str],
    data: JSONBody[DraftIn],
    request: ApiRequest,
    platform: NamedDependency[Platform],
) -> Response[DraftOut]:
    """Replace the whole draft, in the version that `If-Match` names."""
    draft, _ = await own_draft(platform, request.auth, draft_id)
    revision = _revision(request)
    page = await handed_in(platform, draft_id)
    if page is not None and page.phase != Phase.RETURNED:
        raise WrongPhase("It was handed in: it can be edited when it is sent back.")
    try:
        draft = await platform.stores.drafts.edit(
            draft.id, revision=revision, body=_body(data).stored(), at=platform.clock()
        )
    except StaleDraftError as stale:
        raise Refused("precondition_failed") from stale
    return _draft_out(draft, page.phase if page else "")


@address(
    "/drafts/{draft_id:str}",
    (HttpMethod.DELETE,),
    Notes(
        area=_AREA,
        reasons=("not_found", "wrong_phase"),
        headers={"If-Match": "The version that is meant."},
    ),
    scopes=("campaigns:write",),
    summary="Throw a draft away",
    status=204,
)
async def delete_draft(
    draft_id: FromPath[str], request: ApiRequest, platform: NamedDependency[Platform]
) -> None:
    """Throw away a draft that was never handed in, in the version that `If-Match` names."""
    draft, _ = await own_draft(platform, request.auth, draft_id)
    revision = _revision(request)
    if await handed_in(platform, draft_id) is not None:
        raise WrongPhase("It was handed in: its campaign stays.")
    try:
        await platform.stores.drafts.delete(draft.id, revision=revision)
    except StaleDraftError as stale:
        raise Refused("precondition_failed") from stale


@reads(
    "/drafts/{draft_id:str}/checklist",
    "campaigns:read",
    "campaigns:write",
    area=_AREA,
    summary="Ask what a draft lacks",
    reasons=("not_found",),
)
async def get_checklist(
    draft_id: FromPath[str], request: ApiRequest, platform: NamedDependency[Platform]
) -> Response[ChecklistOut]:
    """Everything that a submission needs, in the language that the request accepts."""
    draft, body = await own_draft(platform, request.auth, draft_id)
    items = await _items(platform, draft, body)
    return Response(ChecklistOut(all(item.done for item in items), items))


async def _items(platform: Platform, draft: Draft, body: DraftBody) -> tuple[ItemOut, ...]:
    stores = platform.stores
    channel = await stores.channels.get(draft.channel)
    cover = await stores.pictures.get(body.cover) if body.cover else None
    found = checklist(body, channel, cover, draft.creator, platform.clock())
    return tuple(ItemOut(item.field, item.said, item.done) for item in found)


@writes(
    "/drafts/{draft_id:str}/submit",
    "campaigns:write",
    status=201,
    notes=Notes(area=_AREA, command=True, reasons=("not_found",)),
    summary="Hand a draft in",
)
async def submit_draft(
    draft_id: FromPath[str], request: ApiRequest, platform: NamedDependency[Platform]
) -> Response[SubmittedOut]:
    """Hand the draft in for review as it stands, again where staff sent it back. Its id is the
    campaign's.
    """
    key = request.auth
    draft, body = await own_draft(platform, key, draft_id)
    page = await handed_in(platform, draft_id)

    async def build() -> _HandIn:
        at = platform.clock()
        channel = await platform.stores.channels.get(draft.channel)
        first = await is_first_time(platform, draft.creator)
        bare = bare_submission(body, channel, draft.creator, first_time_creator=first)
        require_fit(bare, channel, at)
        words = manuscript(body)
        submission = await with_texts(platform.stores.content, bare, words, at=at)
        again = page is not None and page.phase == Phase.RETURNED
        return _HandIn(again, new_id(), submission)

    plan = await planned(platform, request, _HandIn, build)
    command = _command(key, draft, plan)
    outcome = await platform.engine.submit_async(command, idempotency_key(request, "submit"))
    # It was handed in as it was read; what was written since then stays in the draft.
    with contextlib.suppress(StaleDraftError):
        await platform.stores.drafts.mark_submitted(
            draft.id, revision=draft.revision, at=platform.clock()
        )
    submitted = plan.submission
    position = outcome.last_position
    return Response(
        SubmittedOut(
            draft.id,
            draft.creator,
            draft.channel,
            "submitted",
            position,
            tuple(reward.reward_id for reward in submitted.rewards),
            tuple(need.need_id for need in submitted.needs),
            tuple(milestone.milestone_id for milestone in submitted.milestones),
        ),
        status_code=201,
        headers={POSITION_HEADER: str(position)},
    )


class _HandIn(Struct, frozen=True):
    """What handing a draft in will do: the first time, or again after it was sent back."""

    again: bool
    command_id: str
    submission: Submission


def _command(key: ApiKey, draft: Draft, plan: _HandIn) -> Command:
    facts: dict[str, Any] = {
        "campaign_id": draft.id,
        "command_id": plan.command_id,
        "submission": plan.submission,
        "acting_in": key.channel,
    }
    if plan.again:
        return ResubmitCampaign(**facts, by=key.by)
    # Whoever of the team sends it: the campaign is its creator's to hand in.
    by = key.by if key.role == "staff" else f"creator:{draft.creator}"
    return SubmitCampaign(**facts, by=by, channel=draft.channel)


async def own_draft(platform: Platform, key: ApiKey, draft_id: str) -> tuple[Draft, DraftBody]:
    """A draft of the key's owner, or of whose team the owner is.

    Raises Refused for others: that there is a draft is nobody else's business.
    """
    try:
        draft = await platform.stores.drafts.get(draft_id)
    except UnknownDraftError as fault:
        raise Refused("not_found", "You have no such draft.") from fault
    body = body_of(draft.body)
    if key.owner != draft.creator and key.owner not in body.team:
        raise Refused("not_found", "You have no such draft.")
    return draft, body


def _revision(request: ApiRequest) -> int:
    """The revision that an edit is meant for. Raises Refused."""
    said = request.headers.get("if-match")
    if not said:
        raise Refused("precondition_required")
    found = _MARK(said.strip())
    if found is None:
        raise Refused("precondition_failed")
    return int(found[1])


def _body(data: DraftIn) -> DraftBody:
    stored = msgspec.to_builtins(data)
    for part in (*stored["rewards"], *stored["needs"], *stored["milestones"]):
        part["id"] = part["id"] or new_id()
    return msgspec.convert(stored, DraftBody)


def _draft_out(draft: Draft, phase: str, *, status_code: int = 200) -> Response[DraftOut]:
    return Response(
        DraftOut(
            draft_id=draft.id,
            channel=draft.channel,
            creator_id=draft.creator,
            revision=draft.revision,
            created_at=draft.created_at,
            updated_at=draft.updated_at,
            submitted_at=draft.submitted_at,
            phase=phase or None,
            draft=body_of(draft.body),
        ),
        status_code=status_code,
        headers={"etag": f'"r{draft.revision}"'},
    )


HANDLERS: Final[tuple[Any, ...]] = (
    begin_draft,
    list_drafts,
    get_draft,
    edit_draft,
    delete_draft,
    get_checklist,
    submit_draft,
)
