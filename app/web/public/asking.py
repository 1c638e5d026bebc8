"""Questions: backers ask, the creator's side answers, in sight of everybody."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from app.stores.questions import LONGEST, Question, TooManyQuestionsError, UnknownQuestionError
from app.web.language import gettext
from app.web.public.campaign_view import in_language
from app.web.public.page_cache import cache_of
from app.web.public.whole import Reader, question_views, reader_of
from app.web.site import PageRequest, RoleNeededError, Site
from app.web.visitors import Visitor
from projections.campaign_pages import CampaignPage

SHORTEST: Final = 3
"""Characters of a question; fewer ask nothing."""

UNPROCESSABLE: Final = 422
TOO_MANY: Final = 429


@get("/campaigns/{campaign_id:str}/questions", include_in_schema=False)
async def show_questions(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """A campaign's questions, and for who may, the ways to ask, answer and hide."""
    visitor = await site.visitor(request)
    page = await site.campaign(campaign_id)
    return await _page(site, page, visitor, await reader_of(site, page, visitor))


@post("/campaigns/{campaign_id:str}/questions", include_in_schema=False)
async def ask(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """A backer asks; the creator gets a mail."""
    visitor = await site.visitor(request)
    form = await site.form(request, visitor)
    page = await site.campaign(campaign_id)
    reader = await reader_of(site, page, visitor)
    if not reader.backs:
        raise RoleNeededError
    body = form.get("body", "").strip()
    fault = _fault(body)
    if fault:
        return await _page(site, page, visitor, reader, typed=body, fault=fault)
    try:
        question = await site.platform.stores.questions.ask(
            campaign_id, reader.parties[0], body, at=site.platform.clock()
        )
    except TooManyQuestionsError:
        said = gettext("You asked several times today. Wait for an answer, or ask tomorrow.")
        return await _page(
            site, page, visitor, reader, typed=body, fault=said, status_code=TOO_MANY
        )
    cache_of(site.platform).forget(campaign_id)
    await _tell(site, page, question, to=page.creator, name="public_question")
    return site.redirect(f"/campaigns/{campaign_id}/questions#question-{question.id}", visitor)


@post("/campaigns/{campaign_id:str}/questions/{question_id:str}/answer", include_in_schema=False)
async def answer(
    campaign_id: FromPath[str],
    question_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """The creator's side answers; who asked gets a mail."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    page = await site.campaign(campaign_id)
    reader = await reader_of(site, page, visitor)
    if not reader.team:
        raise RoleNeededError
    body = form.get("body", "").strip()
    fault = _fault(body)
    if fault:
        return await _page(
            site, page, visitor, reader, typed=body, fault=fault, of_question=question_id
        )
    try:
        question = await site.platform.stores.questions.answer(
            campaign_id, question_id, body, by=visitor.party, at=site.platform.clock()
        )
    except UnknownQuestionError as fault_found:
        raise NotFoundException from fault_found
    cache_of(site.platform).forget(campaign_id)
    await _tell(site, page, question, to=question.party, name="public_answer")
    return site.redirect(f"/campaigns/{campaign_id}/questions#question-{question_id}")


@post("/campaigns/{campaign_id:str}/questions/{question_id:str}/hide", include_in_schema=False)
async def hide(
    campaign_id: FromPath[str],
    question_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """The creator's side or the staff take a question from the page, and say why."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    page = await site.campaign(campaign_id)
    reader = await reader_of(site, page, visitor)
    if not (reader.team or reader.works):
        raise RoleNeededError
    reason = form.get("reason", "").strip()
    if len(reason) < SHORTEST:
        said = gettext("Say in a few words why it is hidden.")
        return await _page(
            site, page, visitor, reader, typed=reason, fault=said, of_question=question_id
        )
    role = "creator" if reader.team else "staff"
    try:
        await site.platform.stores.questions.hide(
            campaign_id,
            question_id,
            reason,
            by=f"{role}:{visitor.party}",
            at=site.platform.clock(),
        )
    except UnknownQuestionError as fault_found:
        raise NotFoundException from fault_found
    cache_of(site.platform).forget(campaign_id)
    return site.redirect(f"/campaigns/{campaign_id}/questions")


def _fault(body: str) -> str:
    if len(body) < SHORTEST:
        return gettext("Write a few words.")
    if len(body) > LONGEST:
        return gettext("That is too long. Write at most %(most)s characters.") % {"most": LONGEST}
    return ""


async def _page(
    site: Site,
    page: CampaignPage,
    visitor: Visitor,
    reader: Reader,
    *,
    typed: str = "",
    fault: str = "",
    of_question: str = "",
    status_code: int = UNPROCESSABLE,
) -> Response[Any]:
    stores = site.platform.stores
    moderates = reader.team or reader.works
    found = await stores.questions.of_campaign(page.campaign_id, with_hidden=moderates)
    texts = await stores.content.get_many({page.text} - {""})
    names = await stores.people.names([page.creator])
    at = site.platform.clock()
    return site.page(
        "public/questions.html",
        visitor if visitor.party else None,
        status_code=status_code if fault else 200,
        page=page,
        title=in_language(texts.get(page.text, {}), "title"),
        creator=names.get(page.creator, ""),
        reader=reader,
        questions=question_views(
            [each for each in found if each.hidden_at is None], visitor, at=at
        ),
        hidden=[each for each in found if each.hidden_at is not None and each.body],
        typed=typed,
        fault=fault,
        of_question=of_question,
        section="discover",
    )


async def _tell(site: Site, page: CampaignPage, question: Question, *, to: str, name: str) -> None:
    """Send the mail; a person without an address gets none."""
    stores = site.platform.stores
    account = (await stores.accounts.of_parties([to])).get(to)
    if account is None:
        return
    texts = await stores.content.get_many({page.text} - {""})
    path = f"/campaigns/{page.campaign_id}/questions#question-{question.id}"
    await site.platform.mail.post(
        name=name,
        kind="creator" if name == "public_question" else "updates",
        to=account.mail,
        language=account.language,
        party=to,
        dedupe_key=f"{question.id}/{question.answered_at or 0}",
        title=in_language(texts.get(page.text, {}), "title"),
        body=question.answer or question.body,
        url=site.platform.settings.public_url + path,
    )
