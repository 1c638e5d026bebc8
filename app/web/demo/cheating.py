"""Try to cheat: a visitor sits in the operator's chair, over a copy of the demo's books.

One trial runs at a time, each visitor may make some, and what came of the last ones is kept in
memory for whoever has its address.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple
from weakref import WeakKeyDictionary

from litestar import get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect, Template

from app.demo.forging import WAYS, CannotForgeError, Edit, Way
from app.demo.trial import CheatError, Kept, Trial, try_to_cheat
from app.web.accounts.limits import MINUTE_MS, Gate, passes
from app.web.audit.books import books_of
from app.web.audit.words import name_of_check, said_of_check
from app.web.language import gettext, translatable
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from app.wiring import Platform
from projections.campaign_pages import get_page

CHEAT: Final = Gate("cheat", 10 * MINUTE_MS, 60, 12)
"""A trial takes a processor for some seconds."""

MOST_KEPT: Final = 32
PATIENCE_S: Final = 20.0
"""How long somebody waits while another one cheats."""

_logger = logging.getLogger(__name__)

Trouble = Literal["", "busy", "often", "nothing", "failed"]


class WayWords(NamedTuple):
    """How a way to cheat is offered, and what was gained by it."""

    title: str
    plain: str
    done: str


WORDS: Final[dict[Way, WayWords]] = {
    "raise": WayWords(
        translatable("Raise a total"),
        translatable("Let one pledge be worth ten times as much, so that a campaign looks loved."),
        translatable("A pledge of %(was)s became one of %(now)s."),
    ),
    "refund": WayWords(
        translatable("Make a refund disappear"),
        translatable("The money went back; let the books say that it is still here."),
        translatable("The refund of %(was)s was taken out of the books, and who asked for it."),
    ),
    "divert": WayWords(
        translatable("Pay one campaign from another's money"),
        translatable("Let a creator be paid more than their campaign holds. The classic."),
        translatable("A payout of %(was)s became one of %(now)s, out of another campaign's money."),
    ),
    "swap": WayWords(
        translatable("Swap two events"),
        translatable("Let who came second have been first. Rewards run out, so it matters."),
        translatable("The pledges of %(was)s and %(now)s changed places."),
    ),
}

UNBROKEN: Final[dict[Way, str]] = {
    "raise": translatable("A pledge may be of any amount, so no rule is broken. Well chosen."),
    "refund": translatable("Without the refund the books add up again. Well done, so far."),
    "divert": translatable("No rule is broken."),
    "swap": translatable("Either could have come first, so no rule is broken. Well done, so far."),
}
"""Why the rules saw nothing."""


class Watch(NamedTuple):
    """One of those who look: what it is called, how much it noticed (None: it could not look), and
    what it says.
    """

    title: str
    noticed: int | None
    said: str


class Cheating:
    """The trials of one demo: one at a time, the last ones kept."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self._trials: OrderedDict[str, Trial] = OrderedDict()

    def keep(self, trial: Trial) -> str:
        """Keep a trial; return where it is found."""
        name = secrets.token_urlsafe(9)
        self._trials[name] = trial
        while len(self._trials) > MOST_KEPT:
            self._trials.popitem(last=False)
        return name

    def find(self, name: str) -> Trial | None:
        """A trial that is kept."""
        return self._trials.get(name)


_cheatings: Final[WeakKeyDictionary[Platform, Cheating]] = WeakKeyDictionary()


def cheating_of(platform: Platform) -> Cheating:
    """The trials of a platform; it has one place for them."""
    return _cheatings.setdefault(platform, Cheating())


# --- Pages ---------------------------------------------------------------------------------------


@get("/demo/cheat", include_in_schema=False)
async def show_cheating(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """The operator's chair."""
    return await _chair(site, await site.visitor(request))


@post("/demo/cheat", include_in_schema=False)
async def cheat(request: PageRequest, site: NamedDependency[Site]) -> Template | Redirect:
    """Cheat on a copy, and go to what came of it."""
    visitor = await site.visitor(request)
    form = await site.form(request, visitor)
    way, signed = form.get("way", ""), form.get("signed") == "yes"
    if way not in WAYS:
        raise NotFoundException
    if not await passes(site, CHEAT, request, "everybody"):
        return await _chair(site, visitor, "often", way)
    cheating = cheating_of(site.platform)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await cheating.turn.acquire()
    except TimeoutError:
        return await _chair(site, visitor, "busy", way)
    try:
        kept = await asyncio.to_thread(kept_outside, site.platform)
        trial = await try_to_cheat(site.platform.settings, way, kept, signed=signed)
    except CannotForgeError:
        return await _chair(site, visitor, "nothing", way)
    except CheatError as fault:
        _logger.warning("trying to cheat did not come to an end: %s", fault)
        return await _chair(site, visitor, "failed", way)
    finally:
        cheating.turn.release()
    return site.redirect(f"/demo/cheat/{cheating.keep(trial)}", visitor)


@get("/demo/cheat/{name:str}", include_in_schema=False)
async def show_trial(
    name: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Template:
    """What came of a trial. Raises NotFoundException."""
    trial = cheating_of(site.platform).find(name)
    if trial is None:
        raise NotFoundException
    forgery = trial.on_copy.forgery
    return site.page(
        "demo/cheated.html",
        await site.visitor(request),
        trial=trial,
        words=WORDS[trial.way],
        ways=WORDS,
        watches=watches(trial),
        caught=bool(trial.on_copy.kinds),
        edits=[(edit, list(marked(edit))) for edit in forgery.edits],
        titles=await _titles(site, [forgery.campaign, forgery.other]),
        name_of_check=name_of_check,
        said_of_check=said_of_check,
    )


async def _chair(
    site: Site, visitor: Visitor, trouble: Trouble = "", chosen: str = "raise"
) -> Template:
    statuses: dict[Trouble, int] = {"busy": 503, "often": 429, "nothing": 409, "failed": 500}
    return site.page(
        "demo/cheat.html",
        visitor,
        status_code=statuses.get(trouble, 200),
        ways=WORDS,
        trouble=trouble,
        chosen=chosen,
        books=await books_of(site.platform),
        possible=not site.platform.settings.database_url,
    )


async def _titles(site: Site, campaign_ids: list[str]) -> dict[str, str]:
    titles = {}
    for campaign_id in filter(None, campaign_ids):
        async with site.platform.views.connect() as connection:
            page = await get_page(connection, campaign_id)
        if page is not None:
            texts = await site.platform.stores.content.get_many({page.text} - {""})
            titles[campaign_id] = in_language(texts.get(page.text, {}), "title")
    return titles


def kept_outside(platform: Platform) -> Kept:
    """What somebody outside may have kept: the newest published checkpoint."""
    published = platform.transparency.published()
    if published is None:
        return Kept()
    witnesses = [witness.vkey.partition("+")[0] for witness in platform.settings.witnesses]
    return Kept(
        published.note,
        platform.transparency.log_key.encode(),
        published.size,
        ", ".join(witnesses),
    )


# --- Who noticed ---------------------------------------------------------------------------------


def watches(trial: Trial) -> list[Watch]:
    """Who looked at the forged copy, from the inside outwards."""
    kinds: dict[str, int] = trial.on_copy.kinds
    bank = kinds.get("provider", 0)
    leaves = sum(kinds.get(kind, 0) for kind in ("leaf", "tree", "checkpoint"))
    outside = kinds.get("fork", 0)
    rules = sum(kinds.values()) - bank - leaves - outside
    moves_money = trial.way in {"refund", "divert"}
    return [
        Watch(
            gettext("The rules and the order of the log"),
            rules,
            gettext("The change breaks what every event is held against.")
            if rules
            else gettext(UNBROKEN[trial.way]),
        ),
        Watch(
            gettext("The bank's own books"),
            bank,
            gettext("The bank says something else, and its books are out of the operator's reach.")
            if bank
            else gettext("The bank's books still agree.")
            if moves_money
            else gettext("No money moved, so the bank has nothing to say."),
        ),
        Watch(
            gettext("The tree of the log"),
            leaves,
            gettext("The event no longer fits the leaf that was made of it when it was recorded.")
            if leaves
            else gettext("All was sealed and signed anew. Inside, everything fits perfectly.")
            if trial.signed
            else gettext("The leaves still fit."),
        ),
        Watch(
            gettext("A checkpoint kept outside"),
            outside if trial.kept.note else None,
            _outside_said(trial, outside),
        ),
    ]


def _outside_said(trial: Trial, noticed: int) -> str:
    if not trial.kept.note:
        return gettext("Nobody had kept one yet.")
    if noticed:
        return gettext(
            "Somebody kept what was signed before. The new story cannot be reached from it, and no"
            " signature of the operator helps."
        )
    return gettext("The tree was left as it was, so it still fits. It was not needed.")


# --- What changed --------------------------------------------------------------------------------

_TOKENS: Final = re.compile(r'"[^"]*"|\d+|\w+|.')


def marked(edit: Edit) -> Iterator[tuple[str, str]]:
    """The stored text in pieces: ("same" | "gone" | "come", piece)."""
    before, after = _TOKENS.findall(edit.before), _TOKENS.findall(edit.after)
    matcher: Any = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, i, j, k, n in matcher.get_opcodes():
        if kind == "equal":
            yield "same", "".join(before[i:j])
            continue
        if j > i:
            yield "gone", "".join(before[i:j])
        if n > k:
            yield "come", "".join(after[k:n])
