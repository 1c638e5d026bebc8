"""From facts and the people they concern to mails, ready to be queued."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from app.mail.campaigns import CampaignFacts, Card, Mine, Pledge
from app.mail.kinds import LOCKED
from app.mail.links import Links
from app.mail.people import Person, Recipients
from app.mail.rendering import Renderer
from app.mail.rules import Backer, Channel, Creator, Followers, Note
from app.processes.collect import Seen, look, retry_at
from app.stores.accounts import Accounts
from app.stores.content import Content
from app.stores.follows import Follow
from app.stores.mail_choices import MailChoices
from app.stores.mails import NewMail
from domain import events as e
from domain.events import AnyEvent
from domain.ids import party_of
from domain.state import Campaign, Status
from domain.terms import DAY_MS
from projections.campaign_pages import get_page
from projections.views import Views

T = TypeVar("T")

NO_PLEDGES: Final = Mine(())


class Engine(Protocol):
    """What mails ask of the engine."""

    def inspect(self, campaign_id: str, look: Callable[[Campaign], T]) -> T:
        """Return what `look` sees of a campaign's present state."""


class Telling(Struct, frozen=True):
    """A fact that is to be told. `fact` names it in keys: its place in the log, or what else there
    is but one of. `event` is None where no event is told. `at` is ms UTC.
    """

    fact: str
    campaign_id: str
    note: Note
    at: int
    event: AnyEvent | None = None


class Addressed(Struct, frozen=True):
    """A mail that is to be written: what, to whom, and what of it is theirs."""

    telling: Telling
    person: Person
    mine: Mine
    off_path: str


class Letters:
    """Writes mails of facts. `secret` makes their keys, which so tell nobody an address."""

    def __init__(
        self,
        people: AsyncEngine,
        views: Views,
        engine: Engine,
        renderer: Renderer,
        links: Links,
        secret: bytes,
    ) -> None:
        self.facts = CampaignFacts(views, Content(people))
        self._views = views
        self._engine = engine
        self._accounts = Accounts(people)
        self._recipients = Recipients(people)
        self._choices = MailChoices(people)
        self._renderer = renderer
        self._links = links
        self._secret = secret

    # --- To whom ---------------------------------------------------------------------------------

    async def reachable(self, parties: Collection[str]) -> set[str]:
        """Those of many parties who may have an address."""
        return await self._recipients.reachable(parties) if parties else set()

    async def to_few(self, tellings: Sequence[Telling]) -> list[NewMail]:
        """The mails of notes that are no crowd's."""
        keys = await self.facts.keys({telling.campaign_id for telling in tellings})
        parties: list[tuple[Telling, str, Mine]] = []
        wanted = [t for t in tellings if isinstance(t.note.to, Backer)]
        pledges = await self.facts.pledges(
            [(keys[t.campaign_id], t.note.to.no) for t in wanted if isinstance(t.note.to, Backer)]
        )
        cards = await self.facts.cards(
            {t.campaign_id for t in tellings if not isinstance(t.note.to, Backer)}
        )
        for telling in tellings:
            match telling.note.to:
                case Backer(no=no):
                    pledge = pledges.get((keys[telling.campaign_id], no))
                    if pledge is not None:
                        parties.append((telling, pledge.backer, Mine((pledge,))))
                case Creator():
                    creator = cards[telling.campaign_id][""].creator
                    parties.append((telling, creator, NO_PLEDGES))
                case Channel(role=role):
                    channel = cards[telling.campaign_id][""].channel
                    by = party_of(telling.event.by) if telling.event is not None else ""
                    holders = await self._accounts.holders(channel)
                    parties += [
                        (telling, party, NO_PLEDGES)
                        for party, held, _, _ in holders
                        if held == role and party != by
                    ]
                case _:
                    raise AssertionError("a crowd is seen to page by page")
        people = await self._recipients.of({party for _, party, _ in parties})
        return await self._written(
            self._addressed(telling, people[party], mine)
            for telling, party, mine in parties
            if party in people
        )

    async def to_backers(
        self, telling: Telling, campaign: int, page: Iterable[Pledge]
    ) -> list[NewMail]:
        """The mails of a fact to the backers of these pledges: one for each person, about all
        that they have in the campaign.
        """
        backers = {pledge.backer for pledge in page}
        found = await self._recipients.of(backers)
        people = {person.key: person for person in found.values()}
        parties = {party for person in people.values() for party in person.parties}
        theirs = await self.facts.of_backers(campaign, parties)
        addressed = []
        for person in people.values():
            own = [pledge for party in person.parties for pledge in theirs.get(party, ())]
            own.sort(key=lambda pledge: pledge.no)
            if own:
                addressed.append(self._addressed(telling, person, Mine(tuple(own))))
        return await self._written(addressed)

    async def to_followers(self, telling: Telling, follows: Sequence[Follow]) -> list[NewMail]:
        """The mails of a fact to these followers."""
        people = await self._recipients.following(follows)
        addressed = []
        for follow in follows:
            person = people.get(follow.number)
            if person is None:
                continue
            one = self._addressed(telling, person, NO_PLEDGES)
            if not follow.party:
                off_path = self._links.end_follow_link(follow.id)
                one = Addressed(telling, person, NO_PLEDGES, off_path)
            addressed.append(one)
        return await self._written(addressed)

    async def reminders(self, card: Card, follows: Sequence[Follow], at: int) -> list[NewMail]:
        """The reminders of a deadline to these followers, but for those who pledged already."""
        people = await self._recipients.following(follows)
        parties = {party for person in people.values() for party in person.parties}
        backers = set(await self.facts.of_backers(card.key, parties))
        undecided = [
            follow
            for follow in follows
            if follow.number in people and not people[follow.number].parties & backers
        ]
        note = Note("followed_reminder", "followed", Followers())
        fact = f"reminder/{card.id}/{card.deadline_at}"
        return await self.to_followers(Telling(fact, card.id, note, at), undecided)

    def _addressed(self, telling: Telling, person: Person, mine: Mine) -> Addressed:
        kind = telling.note.kind
        off_path = "" if kind in LOCKED else self._links.off_link(person.key, kind)
        return Addressed(telling, person, mine, off_path)

    # --- What they say ---------------------------------------------------------------------------

    async def _written(self, addressed: Iterable[Addressed]) -> list[NewMail]:
        several = list(addressed)
        off = await self._choices.off_of({one.person.key for one in several})
        wanted = [
            one
            for one in several
            if one.telling.note.kind in LOCKED or (one.person.key, one.telling.note.kind) not in off
        ]
        cards = await self.facts.cards({one.telling.campaign_id for one in wanted})
        told: dict[tuple[str, str, str], dict[str, Any] | None] = {}
        mails = []
        for one in wanted:
            own = cards.get(one.telling.campaign_id)
            if own is None:
                continue
            language = one.person.language or own[""].language
            card = own.get(language, own[""])
            key = one.telling.fact, one.telling.note.template, language
            if key not in told:
                told[key] = await self._told(one.telling, card, language)
            context = told[key]
            if context is not None:
                mails.append(self._mail(one, card, language, context))
            await asyncio.sleep(0)  # others on this loop have their turn
        return mails

    def _mail(self, one: Addressed, card: Card, language: str, context: dict[str, Any]) -> NewMail:
        telling, person, mine = one.telling, one.person, one.mine
        if telling.note.template == "payment_problem":
            pledge = mine.first
            context = context | {
                "fix_path": self._links.fix_link(card.id, pledge.no, pledge.backer)
            }
        letter = self._renderer.render(
            telling.note.template,
            language,
            off_path=one.off_path,
            campaign=card,
            mine=mine,
            pledge_path=_path(card, mine),
            event=telling.event,
            at=telling.at,
            **context,
        )
        return NewMail(
            dedupe_key=self.key(telling.fact, person.address),
            party=person.key if person.parties else "",
            address=person.address,
            language=letter.language,
            name=telling.note.template,
            subject=letter.subject,
            text=letter.text,
            html=letter.html,
            off_path=one.off_path,
        )

    def key(self, fact: str, address: str) -> str:
        """The key of a fact's one mail to an address: whoever they are to it, they hear it once."""
        mark = hmac.new(self._secret, f"mail key {address}".encode(), hashlib.sha256)
        return f"news/{fact}/{mark.hexdigest()[:32]}"

    async def _told(self, telling: Telling, card: Card, language: str) -> dict[str, Any] | None:
        """What a template needs beside the campaign and the pledges; None where it is overtaken."""
        match telling.event:
            case e.UpdatePosted(text=text) | e.CampaignReturned(text=text):
                title, body = await self.facts.text(text, language)
                return {"title": title, "body": body} if title or body else None
            case e.CollectionFailed(no=no) | e.CollectionActionRequired(no=no):
                seen = await asyncio.to_thread(
                    self._engine.inspect, card.id, partial(look, nos=(no,))
                )
                return _problem(seen.get(no))
            case e.NeedOffered(need_id=need_id):
                async with self._views.connect() as connection:
                    page = await get_page(connection, card.id)
                needs = page.needs if page is not None else ()
                text = next((need.text for need in needs if need.need_id == need_id), "")
                title, _ = await self.facts.text(text, language)
                return {"title": title}
            case e.CampaignSucceeded():
                return {"outcome": "succeeded"}
            case e.CampaignFailed():
                return {"outcome": "failed"}
            case e.CampaignCancelled():
                return {"outcome": "cancelled"}
            case _:
                return {}


def _path(card: Card, mine: Mine) -> str:
    """Where a person finds what they have in a campaign."""
    return f"{card.path}/pledges/{mine.first.no}" if len(mine.pledges) == 1 else "/me"


def _problem(seen: Seen | None) -> dict[str, Any] | None:
    """Until when the pledge waits, and when its charge is tried again (ms UTC, None: not by
    itself). Nothing to tell where it was mended meanwhile.
    """
    if seen is None or seen.status not in (Status.FAILED, Status.ACTION_REQUIRED):
        return None
    again = None
    if seen.status is Status.FAILED and seen.retryable:
        again = retry_at(seen.terms, seen.attempt, seen.failed_at)
    kept_until = seen.failed_at + seen.terms.grace_days * DAY_MS
    return {"kept_until": kept_until, "retry_at": again}
