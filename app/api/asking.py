"""Questions by API: backers ask, the creator's side answers, in sight of everybody."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from app.api.access import ApiRequest
from app.api.addresses import Notes, writes
from app.api.bodies import Body
from app.api.everybody import OURS, SEEN, QuestionOut
from app.api.problems import Refused
from app.api.reading import desk_of_campaign, is_of_team, page_of_campaign, told
from app.api.repeating import Planned, carried_out
from app.stores.api_keys import ApiKey
from app.stores.questions import LONGEST, Question, TooManyQuestionsError, UnknownQuestionError
from app.stores.rows import new_id
from app.web.public.page_cache import cache_of
from app.wiring import Platform
from domain.errors import NotAllowed
from projections.backer_ledger import pledges_of
from projections.campaign_pages import CampaignPage

SHORTEST: Final = 3


class WordsIn(Body, frozen=True, kw_only=True):
    """A question or an answer."""

    body: Annotated[str, Meta(min_length=SHORTEST, max_length=LONGEST)]


class HideIn(Body, frozen=True, kw_only=True):
    """Why a question is hidden."""

    reason: Annotated[str, Meta(min_length=SHORTEST, max_length=1_000)]


class HiddenOut(Struct, frozen=True):
    """A question that is shown no more: since when (ms UTC), who took it away, and why."""

    question_id: str
    hidden_at: int
    hidden_by: str
    reason: str


class AskedOut(Struct, frozen=True):
    """A question was kept under this id."""

    question_id: str


@writes(
    "/campaigns/{campaign_id:str}/questions",
    "pledges:write",
    status=201,
    notes=Notes(
        area="Backers", reasons=(*SEEN, "not_allowed"), example={"body": "Is there a ramp?"}
    ),
    summary="Ask a question",
)
async def ask_question(
    campaign_id: FromPath[str],
    data: JSONBody[WordsIn],
    request: ApiRequest,
    platform: NamedDependency[Platform],
) -> Response[AskedOut]:
    """Ask the creator in public; for who backs the campaign, at most five times a day."""
    page = await page_of_campaign(platform, request.auth, campaign_id)
    body = _said(data)
    party = await _backing(platform, request.auth, campaign_id)

    async def ask(plan: Planned) -> None:
        try:
            question = await platform.stores.questions.ask(
                campaign_id, party, body, at=platform.clock(), question_id=plan.id
            )
        except TooManyQuestionsError as fault:
            said = "You asked as much as one may in a day."
            raise Refused("rate_limited", said, wait_ms=fault.wait_ms) from fault
        cache_of(platform).forget(campaign_id)
        await _tell(platform, page, question, page.creator)

    plan = Planned(new_id(), platform.clock())
    asked = await carried_out(platform, request, plan, ask)
    return Response(AskedOut(asked.id), status_code=201)


@writes(
    "/campaigns/{campaign_id:str}/questions/{question_id:str}/answer",
    "campaigns:write",
    notes=Notes(
        area="Creators",
        reasons=(*SEEN, "not_found", "not_allowed"),
        example={"body": "Yes, at the north side."},
    ),
    summary="Answer a question",
)
async def answer_question(
    campaign_id: FromPath[str],
    question_id: FromPath[str],
    data: JSONBody[WordsIn],
    request: ApiRequest,
    platform: NamedDependency[Platform],
) -> Response[QuestionOut]:
    """Answer, or answer otherwise; for the campaign's team."""
    page = await page_of_campaign(platform, request.auth, campaign_id)
    if not is_of_team(request.auth, page):
        raise NotAllowed("The campaign's team answers.")
    questions, body = platform.stores.questions, _said(data)

    async def answer(plan: Planned) -> None:
        try:
            found = await questions.answer(
                campaign_id, question_id, body, by=request.auth.owner, at=plan.at
            )
        except UnknownQuestionError as fault:
            raise Refused("not_found", "The campaign has no such question.") from fault
        cache_of(platform).forget(campaign_id)
        await _tell(platform, page, found, found.party)

    await carried_out(platform, request, Planned(question_id, platform.clock()), answer)
    q = await questions.get(campaign_id, question_id)
    return Response(QuestionOut(q.id, q.body, q.asked_at, q.answer or None, q.answered_at))


@writes(
    "/campaigns/{campaign_id:str}/questions/{question_id:str}/hide",
    "campaigns:write",
    "staff",
    notes=Notes(
        area="Creators",
        reasons=(*OURS, "not_found"),
        example={"reason": "It names a private address."},
    ),
    summary="Hide a question",
)
async def hide_question(
    campaign_id: FromPath[str],
    question_id: FromPath[str],
    data: JSONBody[HideIn],
    request: ApiRequest,
    platform: NamedDependency[Platform],
) -> Response[HiddenOut]:
    """Take a question and its answer from the page, and say why; for the campaign's team and its
    channel's staff. The words stay with them; what staff hide stands among their acts.
    """
    key, stores = request.auth, platform.stores
    page = await desk_of_campaign(platform, key, campaign_id)
    team = is_of_team(key, page)
    if not (team or key.role == "staff"):
        raise NotAllowed("The campaign's team and the channel's staff hide.")
    reason = data.reason.strip()
    if len(reason) < SHORTEST:
        raise Refused("body_invalid", "reason: The text says nothing.")

    async def hide(plan: Planned) -> None:
        try:
            await stores.questions.hide(campaign_id, question_id, reason, by=key.by, at=plan.at)
        except UnknownQuestionError as fault:
            raise Refused("not_found", "The campaign has no such question.") from fault
        if not team:
            await stores.staff_acts.note(
                page.channel,
                "question_hidden",
                by=key.by,
                at=plan.at,
                subject=question_id,
                campaign_id=campaign_id,
                reason=reason,
                act_id=plan.id,
            )
        cache_of(platform).forget(campaign_id)

    await carried_out(platform, request, Planned(new_id(), platform.clock()), hide)
    q = await stores.questions.get(campaign_id, question_id)
    return Response(HiddenOut(q.id, q.hidden_at or 0, q.hidden_by, q.hidden_reason))


def _said(data: WordsIn) -> str:
    body = data.body.strip()
    if len(body) < SHORTEST:
        raise Refused("body_invalid", "The text says nothing.")
    return body


async def _backing(platform: Platform, key: ApiKey, campaign_id: str) -> str:
    """The party as which the key's owner backs a campaign. Raises NotAllowed."""
    async with platform.views.connect() as connection:
        for party in sorted(await platform.stores.accounts.parties_of(key.owner)):
            for line in await pledges_of(connection, party):
                if line.campaign_id == campaign_id and line.standing:
                    return party
    raise NotAllowed("Who backs a campaign may ask.")


async def _tell(platform: Platform, page: CampaignPage, question: Question, to: str) -> None:
    """Send the same mail as the site does; a person without an address gets none."""
    stores = platform.stores
    account = (await stores.accounts.of_parties([to])).get(to)
    if account is None:
        return
    texts = await stores.content.get_many({page.text} - {""})
    path = f"/campaigns/{page.campaign_id}/questions#question-{question.id}"
    answered = bool(question.answer)
    await platform.mail.post(
        name="public_answer" if answered else "public_question",
        kind="updates" if answered else "creator",
        to=account.mail,
        language=account.language,
        party=to,
        dedupe_key=f"{question.id}/{question.answered_at or 0}",
        title=told(texts, page.text, "title"),
        body=question.answer or question.body,
        url=platform.settings.public_url + path,
    )


HANDLERS: Final[tuple[Any, ...]] = (ask_question, answer_question, hide_question)
