"""The draft editor: begun on `/create`, saved as one types, with the page beside it."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from markupsafe import Markup
from msgspec import Struct

from app.log import decode_row
from app.stores.channels import Channel, UnknownChannelError
from app.stores.drafts import Draft, StaleDraftError
from app.stores.pictures import PictureInfo
from app.web import markdown
from app.web.categories import category_options
from app.web.creator.access import own_draft
from app.web.creator.checklist import Item, checklist
from app.web.creator.drafting import (
    MOST_TEAM,
    DraftBody,
    DraftReward,
    Telling,
    add_fee,
    add_part,
    body_of,
    differences,
    end_of_day,
    fees_of,
    month_start,
    remove_part,
    typed,
    whole,
)
from app.web.creator.pictures import MAX_BYTES, BadPictureError, keep_picture
from app.web.language import LANGUAGES, gettext
from app.web.money import parse_amount
from app.web.site import PageRequest, Site
from app.web.visitors import Form, Visitor
from app.wiring import Platform
from domain import events as e
from domain.state import Phase
from projections.campaign_pages import CampaignPage, campaigns_of, get_page

MAX_DRAFT_BYTES: Final = 4 * 2**20
MAX_UPLOAD_BYTES: Final = MAX_DRAFT_BYTES + MAX_BYTES
TEAM_WINDOW_MS: Final = 15 * 60_000
MOST_ASKED: Final = 20
"""How many addresses somebody may try to put on a team within the window."""

_EVENTS_PAGE: Final = 64
_NAMED: Final = re.compile(r"([^\W\d_][\w ]{0,30})[:\N{FULLWIDTH COLON}]").match
_PARTS: Final = {
    name: part
    for part, names in {
        "basics": ("title", "blurb", "cover", "category", "标题", "简介", "封面", "类别"),
        "story": ("story", "risks", "故事", "风险"),
        "money": ("money", "goal", "deadline", "last day", "currency", "资金", "目标", "截止日"),
        "rewards": ("reward", "rewards", "shipping", "回报", "运费", "寄送"),
        "needs": ("help", "help wanted", "needs", "协助", "物资与协助"),
        "milestones": ("milestone", "milestones", "里程碑"),
        "team": ("team", "团队"),
        "translations": ("translation", "translations", "译文", "翻译"),
    }.items()
    for name in names
}
"""What staff may call a part of the page in their remarks, and which part it is."""
_DRAFTING: Final = frozenset(("", Phase.RETURNED))
"""The phases in which a draft can be changed; empty before it was handed in."""


class Fault(Struct, frozen=True):
    """What was wrong with the last thing asked for: the field's id, and what to say beside it."""

    field: str
    said: str


class ShownReward(Struct, frozen=True):
    """A reward on the preview; the price is None where it cannot be read yet."""

    reward: DraftReward
    price_minor: int | None
    delivery_at: int | None
    shipping: list[tuple[str, int | None]]


class Editing(Struct, frozen=True, kw_only=True):
    """A draft with all that its page shows. `phase` is empty before it is handed in.

    `remarks` are what staff said when they sent it back, by part of the page; the empty name
    stands for the whole.
    """

    draft: Draft
    body: DraftBody
    channel: Channel
    phase: str
    items: list[Item]
    cover: PictureInfo | None
    pictures: list[PictureInfo]
    team: list[tuple[str, str]]
    remarks: dict[str, str]
    preview_path: str
    goal_minor: int | None
    deadline_at: int | None
    story_html: Markup
    risks_html: Markup
    rewards: list[ShownReward]

    @property
    def editable(self) -> bool:
        """Whether it is the creator's turn to write."""
        return self.phase in _DRAFTING

    @property
    def open_items(self) -> list[Item]:
        """What is still to do."""
        return [item for item in self.items if not item.done]


# --- /create -------------------------------------------------------------------------------------


@get("/create", include_in_schema=False)
async def show_create(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """What it takes, and where to begin; who is signed in sees the drafts they have."""
    visitor = await site.visitor(request)
    stores = site.platform.stores
    drafts = await _unfinished(site, visitor) if visitor.signed_in else []
    return site.page(
        "creator/create.html",
        visitor,
        channels=await stores.channels.all(),
        drafts=drafts,
        section="create",
    )


async def _unfinished(site: Site, visitor: Visitor) -> list[tuple[Draft, DraftBody]]:
    drafts = await site.platform.stores.drafts.of_creator(visitor.party)
    return [(draft, body_of(draft.body)) for draft in drafts if draft.submitted_at is None]


@post("/create", include_in_schema=False)
async def begin_draft(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Begin a draft in a channel. Raises SignInNeededError."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    platform = site.platform
    try:
        channel = await platform.stores.channels.get(form.get("channel", ""))
    except UnknownChannelError:
        return site.redirect("/create")
    account = await platform.stores.accounts.get(visitor.party)
    language = account.language if account and account.language in LANGUAGES else LANGUAGES[0]
    body = DraftBody(currency=channel.currencies[0], language=language)
    body.title = form.get("title", "").strip()[:200]
    draft = await platform.stores.drafts.create(
        channel=channel.id, creator=visitor.party, body=body.stored(), at=platform.clock()
    )
    return site.redirect(f"/drafts/{draft.id}")


# --- The page ------------------------------------------------------------------------------------


@get("/drafts/{draft_id:str}", include_in_schema=False)
async def show_draft(
    draft_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The editor; what was launched has a desk instead."""
    visitor, draft, body = await own_draft(site, request, draft_id)
    return await draft_page(site, visitor, draft, body)


async def draft_page(
    site: Site,
    visitor: Visitor,
    draft: Draft,
    body: DraftBody,
    *,
    fault: Fault | None = None,
    conflict: Draft | None = None,
    status_code: int = 200,
) -> Response[Any]:
    """The editor's page. `conflict`: the draft as another tab has saved it meanwhile."""
    editing = await look(site, draft, body)
    if editing.phase and editing.phase not in (
        Phase.SUBMITTED,
        Phase.RETURNED,
        Phase.APPROVED,
    ):
        return site.redirect(f"/desk/{draft.id}")
    return site.page(
        "creator/draft.html",
        visitor,
        status_code=status_code,
        categories=category_options(),
        public_url=site.platform.settings.public_url,
        fault=fault,
        section="create",
        **_shown(editing, conflict, body),
    )


def _shown(editing: Editing, conflict: Draft | None, body: DraftBody) -> dict[str, Any]:
    differs = differences(body, body_of(conflict.body)) if conflict else []
    return {
        "editing": editing,
        "draft": editing.draft,
        "body": body,
        "conflict": conflict,
        "differs": differs,
    }


async def look(site: Site, draft: Draft, body: DraftBody) -> Editing:
    """A draft with all that its page shows."""
    platform = site.platform
    channel = await platform.stores.channels.get(draft.channel)
    page = await handed_in(platform, draft.id)
    pictures = await platform.stores.pictures.of_draft(draft.id)
    cover = next((found for found in pictures if found.hash == body.cover), None)
    if body.cover and cover is None:
        cover = await platform.stores.pictures.get(body.cover)
    names = await platform.stores.people.names(body.team)
    mark = site.visitors.sign("preview", draft.id)
    phase = page.phase if page else ""
    return Editing(
        draft=draft,
        body=body,
        channel=channel,
        phase=phase,
        items=checklist(body, channel, cover, draft.creator, platform.clock()),
        cover=cover,
        pictures=[found for found in pictures if found.hash != body.cover],
        team=[(party, names.get(party, "")) for party in body.team],
        remarks=await remarks_on(platform, draft.id) if phase == Phase.RETURNED else {},
        preview_path=f"/preview/{draft.id}/{mark}",
        goal_minor=parse_amount(body.goal, body.currency),
        deadline_at=end_of_day(body.deadline),
        story_html=markdown.html(body.story),
        risks_html=markdown.html(body.risks),
        rewards=[
            ShownReward(
                reward,
                parse_amount(reward.price, body.currency),
                month_start(reward.delivery) if reward.delivery else None,
                fees_of(reward, body.currency),
            )
            for reward in body.rewards
        ],
    )


async def handed_in(platform: Platform, draft_id: str) -> CampaignPage | None:
    """The campaign that a draft became; None before it was handed in."""
    async with platform.views.connect() as connection:
        return await get_page(connection, draft_id)


async def remarks_on(platform: Platform, campaign_id: str) -> dict[str, str]:
    """What staff said when they last sent it back, by part of the page."""
    text_hash = await asyncio.to_thread(_last_remarks, platform, campaign_id)
    if not text_hash:
        return {}
    texts = await platform.stores.content.get_many([text_hash])
    document = texts.get(text_hash, {})
    return by_part("\n\n".join(str(document.get(part, "")) for part in ("title", "body")))


def by_part(remarks: str) -> dict[str, str]:
    """Remarks by the part of the page that they concern.

    A paragraph that begins with the name of a part and a colon (`Rewards: …`, `回报：…`) stands
    beside that part; everything else above the whole page, under the empty name.
    """
    found: dict[str, list[str]] = {}
    for paragraph in remarks.replace("\r\n", "\n").split("\n\n"):
        told = paragraph.strip()
        named = _NAMED(told)
        part = _PARTS.get(named[1].strip().casefold(), "") if named else ""
        said = told[named.end() :].strip() if named and part else told
        if said:
            found.setdefault(part, []).append(said)
    return {part: "\n\n".join(said) for part, said in found.items()}


def _last_remarks(platform: Platform, campaign_id: str) -> str:
    found, version = "", 0
    while rows := platform.log.read_stream(f"campaign:{campaign_id}", version, _EVENTS_PAGE):
        for row in rows:
            event = decode_row(row)
            if isinstance(event, e.CampaignReturned):
                found = event.text
        version = rows[-1].version
    return found


async def is_first_time(platform: Platform, creator: str) -> bool:
    """Whether a creator has not completed a campaign before."""
    async with platform.views.connect() as connection:
        found = await campaigns_of(connection, creator)
    return not any(page.creator == creator and page.phase == Phase.COMPLETED for page in found)


# --- Saving --------------------------------------------------------------------------------------


@post(
    "/drafts/{draft_id:str}",
    include_in_schema=False,
    request_max_body_size=MAX_DRAFT_BYTES,
)
async def save_draft(
    draft_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Save what is typed; from htmx the answer is only what changed on the page."""
    return await _save(draft_id, request, site)


@post(
    "/drafts/{draft_id:str}/pictures",
    include_in_schema=False,
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def save_picture(
    draft_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Save what is typed, and a picture with it."""
    return await _save(draft_id, request, site)


async def _save(draft_id: str, request: PageRequest, site: Site) -> Response[Any]:
    visitor, draft, before = await own_draft(site, request, draft_id)
    form = await site.form(request, visitor)
    in_part = request.headers.get("hx-request") == "true"
    page = await handed_in(site.platform, draft_id)
    if page and page.phase not in _DRAFTING:
        return site.redirect(f"/drafts/{draft_id}")
    body = typed(form, before)
    seen = whole(form.get("revision", "")) or 0
    over = whole(form.get("over", "")) or seen
    fault, anchor = await _do(site, visitor, draft, body, form) if not in_part else (None, "")
    try:
        if body != before:
            draft = await site.platform.stores.drafts.edit(
                draft_id, revision=over, body=body.stored(), at=site.platform.clock()
            )
    except StaleDraftError:
        return await _stale(site, visitor, draft_id, body, seen, in_part=in_part)
    if in_part:
        editing = await look(site, draft, body)
        return site.page("creator/draft_saved.html", visitor, **_shown(editing, None, body))
    if fault is not None:
        return await draft_page(site, visitor, draft, body, fault=fault, status_code=422)
    if form.get("do") == "submit":
        return site.redirect(f"/drafts/{draft_id}/submit")
    return site.redirect(f"/drafts/{draft_id}{'#' if anchor else ''}{anchor}")


async def _stale(
    site: Site, visitor: Visitor, draft_id: str, body: DraftBody, seen: int, *, in_part: bool
) -> Response[Any]:
    """Show both versions: what is typed stays in the form, the other stands beside it."""
    theirs = await site.platform.stores.drafts.get(draft_id)
    shown = msgspec.structs.replace(theirs, revision=seen, body=body.stored())
    if not in_part:
        return await draft_page(site, visitor, shown, body, conflict=theirs, status_code=409)
    editing = await look(site, shown, body)
    return site.page("creator/draft_saved.html", visitor, **_shown(editing, theirs, body))


async def _do(
    site: Site, visitor: Visitor, draft: Draft, body: DraftBody, form: Form
) -> tuple[Fault | None, str]:
    """Carry out the button that was pressed; return a fault, and the place to go back to."""
    what, _, about = form.get("do", "").partition(":")
    match what:
        case "add":
            made = add_part(body, about)
            return None, f"{about}-{made}" if made else f"{about}s"
        case "remove":
            return None, remove_part(body, about)
        case "fee":
            add_fee(body, about)
            return None, f"reward-{about}"
        case "translate" if about in LANGUAGES:
            body.translations = {**body.translations, about: Telling()}
            return None, "translations"
        case "untranslate":
            body.translations = {
                name: telling for name, telling in body.translations.items() if name != about
            }
            return None, "translations"
        case "team":
            mail = form.get("team_mail", "")
            return await _join_team(site, visitor, draft, body, mail), "team"
        case "leave":
            body.team = [party for party in body.team if party != about]
            return None, "team"
        case "picture":
            return await _take_picture(site, visitor, draft, body, form, about), about
        case "uncover":
            body.cover = ""
            return None, "cover"
        case _:
            return None, ""


async def _join_team(
    site: Site, visitor: Visitor, draft: Draft, body: DraftBody, mail: str
) -> Fault | None:
    """Put the account of an address on the team. The answer tells whether there is one, and the
    page then its name: so nobody asks for one address after the other.
    """
    attempts, at = site.platform.stores.attempts, site.platform.clock()
    limit = {f"team of {visitor.party}": MOST_ASKED}
    if not await attempts.admit(limit, at=at, since=at - TEAM_WINDOW_MS):
        said = gettext("Too many attempts. Wait a quarter of an hour and try again.")
        return Fault("team", said)
    account = await site.platform.stores.accounts.by_mail(mail)
    if account is None:
        said = gettext("No account has this address. Ask them to sign up first.")
        return Fault("team", said)
    if account.party == draft.creator or account.party in body.team:
        return Fault("team", gettext("They are on the team already."))
    if len(body.team) >= MOST_TEAM:
        return Fault("team", gettext("A team has at most 50 members."))
    body.team = [*body.team, account.party]
    return None


async def _take_picture(
    site: Site, visitor: Visitor, draft: Draft, body: DraftBody, form: Form, place: str
) -> Fault | None:
    alt = " ".join(form.get(f"{place}_alt", "").split())[:300]
    upload: Any = form.files.get(f"{place}_file")
    sent = await upload.read() if upload is not None else b""
    if not sent:
        return Fault(place, gettext("Choose a picture first."))
    if not alt:
        return Fault(place, gettext("Say what the picture shows, for people who cannot see it."))
    try:
        info = await keep_picture(
            site.platform, sent, alt=alt, draft=draft.id, by=f"creator:{visitor.party}"
        )
    except BadPictureError as fault:
        return Fault(place, gettext(str(fault)))
    if place == "cover":
        body.cover = info.hash
    else:
        body.story = _with_picture(body.story, form.get("caret", ""), alt, info.hash)
    return None


def _with_picture(story: str, caret: str, alt: str, picture_hash: str) -> str:
    """Put a picture into the story: where the cursor stood, or at the end.

    The browser counts UTF-16 units.
    """
    said = alt.replace("[", "(").replace("]", ")")
    picture = f"![{said}](/pictures/{picture_hash})"
    units = story.encode("utf-16-le")
    spot = whole(caret)
    at = len(units) if spot is None else min(spot * 2, len(units))
    head = units[:at].decode("utf-16-le", "ignore").rstrip()
    tail = units[at:].decode("utf-16-le", "ignore").lstrip()
    return "\n\n".join(part for part in (head, picture, tail) if part)
