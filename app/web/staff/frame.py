"""What every page of the channel's desk shows around its own part; how deeds are carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Final

from litestar.response import Redirect, Template
from msgspec import Struct

from app.api.problems import problem_of
from app.api.reading import told
from app.engine import Outcome
from app.stores.rows import new_id
from app.web.language import gettext, translatable
from app.web.public.campaign_view import in_language
from app.web.site import Site
from app.web.staff.posts import Post
from app.web.staff.reading import Listed, waiting
from app.web.staff.words import ROLES, why, word
from domain.campaign import decide
from domain.commands import Command
from domain.errors import Rejection
from domain.events import Event
from domain.ids import party_of, role_of
from domain.state import Campaign

DEEDS: Final[dict[str, str]] = {
    "approved": translatable("Approved. The creator may launch it now."),
    "returned": translatable("Returned. The creator reads your remarks."),
    "suspended": translatable("Suspended. No pledges, charges or payouts until you resume it."),
    "resumed": translatable("Resumed. Everything goes on."),
    "cancelled": translatable("Called off. What was charged is on its way back."),
    "featured": translatable("Featured on the home page."),
    "unfeatured": translatable("Not featured any more."),
    "account": translatable("The payout account is verified."),
    "paid": translatable("Approved. The money is set aside and on its way."),
    "refused": translatable("Refused. Nothing moved; the creator may ask again."),
    "revoked": translatable("Taken back. Each pledge has its share again."),
    "repaid": translatable("The repayment is booked."),
    "written_off": translatable("Written off. The platform bears it, and the books say so."),
    "report": translatable("The report is settled."),
    "taken_down": translatable("Taken down. That something stood here stays known."),
    "hidden": translatable("The question is hidden from everybody."),
    "settled": translatable("Settled in the books."),
    "asked": translatable("Asked again. The provider answers in a moment."),
    "role_given": translatable("The role is given."),
    "role_taken": translatable("The role is taken away."),
}
"""What a page says after a deed."""


class Refusal(Struct, frozen=True):
    """Why a deed was not done, in the page's language, and the status that tells programs so."""

    said: str
    status: int


def refusal(rejection: Rejection) -> Refusal:
    """A rule's no."""
    return Refusal(why(rejection), problem_of(rejection).status)


async def staff_page(
    site: Site,
    post: Post,
    template: str,
    current: str,
    *,
    done: str = "",
    refused: Refusal | None = None,
    **context: Any,  # noqa: ANN401 - whatever the template shows
) -> Template:
    """Render a page of the desk. `done` names the deed that it confirms, `refused` why one was not
    done; what was typed is then among the context.
    """
    async with site.platform.views.connect() as connection:
        counts = await waiting(connection, post.channel.id)
    reports = await site.platform.stores.reports.open(post.channel.id)
    return site.page(
        f"staff/{template}",
        post.visitor,
        status_code=refused.status if refused else 200,
        post=post,
        current=current,
        counts={
            "reviews": counts.reviews,
            "payouts": counts.payouts,
            "reports": len(reports),
            "disputes": counts.disputes + counts.discrepancies + counts.refunds,
            "needs": counts.offers,
        },
        waiting=counts,
        done=gettext(DEEDS[done]) if done in DEEDS else "",
        refused=refused.said if refused else "",
        word=word,
        **context,
    )


def carried_out(site: Site, path: str, deed: str, outcome: Outcome | None = None) -> Redirect:
    """Back to a page that shows what was done."""
    joint = "&" if "?" in path else "?"
    position = f"&at_least={outcome.last_position}" if outcome else ""
    return site.redirect(f"{path}{joint}done={deed}{position}")


# --- Commands ------------------------------------------------------------------------------------


def identity(post: Post, campaign_id: str, by: str) -> dict[str, Any]:
    """The common fields of a command that somebody of this channel gives."""
    return {
        "campaign_id": campaign_id,
        "by": by,
        "command_id": new_id(),
        "acting_in": post.channel.id,
    }


async def foretell(site: Site, command: Command) -> list[Event] | Rejection:
    """What a command would cause now, without doing it: the facts, or the rule that says no.

    So a page shows the reason before the click, and the sums that the rules themselves count.
    """
    at = site.platform.clock()

    def look(state: Campaign) -> list[Event] | Rejection:
        try:
            return decide(state, command, at)
        except Rejection as rejected:
            return rejected

    return await asyncio.to_thread(site.platform.engine.inspect, command.campaign_id, look)


async def obstacle(site: Site, command: Command) -> str:
    """Why the rules would refuse a command now, in the page's language; empty where they do not."""
    told_ahead = await foretell(site, command)
    return why(told_ahead) if isinstance(told_ahead, Rejection) else ""


# --- Names and titles ----------------------------------------------------------------------------


class Names(Struct, frozen=True):
    """The names of those who acted, and how a page says who did something."""

    names: dict[str, str]

    def of(self, party: str) -> str:
        """A party's name; a short mark of its id where it has none."""
        return self.names.get(party) or gettext("no name, id %(id)s…") % {"id": party[:8]}

    def backer(self, party: str) -> str:
        """A backer, by a mark of their id: who wished to be hidden is hidden from staff, too."""
        return gettext("a backer, id %(id)s…") % {"id": party[:8]}

    def who(self, by: str) -> str:
        """An actor such as `staff:<party>`: the name with the role; a backer without name."""
        role, party = role_of(by), party_of(by)
        if role in {"system", "provider"}:
            return word(ROLES, role)
        if role == "backer":
            return self.backer(party)
        said = {"name": self.of(party), "role": word(ROLES, role)}
        return gettext("%(name)s (%(role)s)") % said


async def names_of(site: Site, parties: Iterable[str]) -> Names:
    """The names of parties; of who has none the account's own, never the mail address."""
    return Names(await site.platform.stores.people.names(set(parties) - {""}))


async def titles_of(site: Site, campaigns: Collection[Listed]) -> dict[str, str]:
    """The titles of campaigns by their ids, in the page's language where they were translated; one
    that was taken down has none.
    """
    texts = await site.platform.stores.content.get_many({found.text for found in campaigns} - {""})
    return {
        found.campaign_id: in_language(texts.get(found.text, {}), "title") for found in campaigns
    }


async def titles_as_written(site: Site, campaigns: Collection[Listed]) -> dict[str, str]:
    """The titles of campaigns by their ids, in the language of each creator: for searching."""
    texts = await site.platform.stores.content.get_many({found.text for found in campaigns} - {""})
    return {found.campaign_id: told(texts, found.text, "title") for found in campaigns}
