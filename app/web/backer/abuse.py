"""Against people who test stolen cards, keep rewards from others, or back themselves.

Nothing here puzzles an honest person: a payment page that was tried too often says one neutral
sentence to everybody, and a campaign on which many cards fail asks for a confirmed mail address
before it lets anybody pay.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.stores.accounts import normal_mail
from app.stores.card_tries import CardTry
from app.stores.checkouts import Checkout
from app.web.accounts.limits import client_of
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from app.wiring import Platform
from domain.errors import OwnCampaign
from domain.state import Campaign

HOLDS_WINDOW_MS: Final = 15 * 60_000
HOLDS_OF_PERSON: Final = 8
HOLDS_FROM_ADDRESS: Final = 20
"""How many checkouts with limited rewards may be begun within the window."""


class TooManyHoldsError(Exception):
    """This person, or this address, keeps limited rewards from others again and again."""


class PaymentClosedError(Exception):
    """Too many cards were tried or declined: nobody gets to the payment page now."""


def mark(platform: Platform, kind: str, text: str) -> str:
    """A word that stands for a person, mail, address or card and leads back to none."""
    if not text:
        return ""
    key, word = platform.settings.secret, f"card try {kind} {text}".encode()
    return hmac.new(key, word, hashlib.sha256).hexdigest()[:32]


async def mail_mark_of(platform: Platform, visitor: Visitor, typed: str) -> str:
    """The mark of the mail that was typed, or of that of the visitor's account."""
    if typed:
        return mark(platform, "mail", normal_mail(typed))
    account = (await platform.stores.accounts.of_parties([visitor.party])).get(visitor.party)
    return mark(platform, "mail", account.mail) if account else ""


async def require_open(platform: Platform, checkout: Checkout) -> None:
    """Raise PaymentClosedError where this person, mail or address has tried too often."""
    closed = await platform.stores.card_tries.is_closed(
        person=mark(platform, "person", checkout.backer),
        mail=checkout.mail_mark,
        address=checkout.address_mark,
        at=platform.clock(),
    )
    if closed:
        raise PaymentClosedError


class PaymentWatch:
    """What the payment page asks us before it takes a card, and tells us after it did or did not.

    `reference` is what a visit to the page was opened for: the id of a checkout.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def is_open(self, reference: str, request: PageRequest) -> bool:
        """Whether a card may be tried for this checkout from where the request comes."""
        checkout = await self._platform.stores.checkouts.by_id(reference)
        if checkout is None:
            return True
        return not await self._platform.stores.card_tries.is_closed(
            person=mark(self._platform, "person", checkout.backer),
            mail=checkout.mail_mark,
            address=mark(self._platform, "address", client_of(request)),
            at=self._platform.clock(),
        )

    @asynccontextmanager
    async def alone(self, reference: str, request: PageRequest) -> AsyncIterator[None]:
        """Let those who are bounded together try one card after another."""
        checkout = await self._platform.stores.checkouts.by_id(reference)
        marks = () if checkout is None else self._marks(checkout, request)
        async with self._platform.stores.card_tries.alone(*marks):
            yield

    def _marks(self, checkout: Checkout, request: PageRequest) -> tuple[str, ...]:
        person = mark(self._platform, "person", checkout.backer)
        return person, checkout.mail_mark, mark(self._platform, "address", client_of(request))

    async def tried(
        self, reference: str, request: PageRequest, fingerprint: str, *, declined: bool
    ) -> None:
        """A card was taken or declined."""
        checkout = await self._platform.stores.checkouts.by_id(reference)
        if checkout is None:
            return
        await self._platform.stores.card_tries.note(
            CardTry(
                campaign=checkout.campaign_id,
                person=mark(self._platform, "person", checkout.backer),
                mail=checkout.mail_mark,
                address=mark(self._platform, "address", client_of(request)),
                card=mark(self._platform, "card", fingerprint),
                declined=declined,
                at=self._platform.clock(),
            )
        )


async def admit_hold(site: Site, request: PageRequest, visitor: Visitor) -> None:
    """Note that limited rewards are about to be kept. Raises TooManyHoldsError."""
    attempts, at = site.platform.stores.attempts, site.platform.clock()
    limits = {f"hold of {visitor.party}": HOLDS_OF_PERSON}
    if not visitor.signed_in:
        limits[f"hold from {client_of(request)}"] = HOLDS_FROM_ADDRESS
    if not await attempts.admit(limits, at=at, since=at - HOLDS_WINDOW_MS):
        raise TooManyHoldsError


# --- Nobody backs themselves ---------------------------------------------------------------------


async def require_stranger_by_mail(platform: Platform, campaign_id: str, mail: str) -> None:
    """Raise OwnCampaign where a mail address is of somebody in the campaign's team."""
    account = await platform.stores.accounts.by_mail(mail)
    if account is not None:
        parties = await platform.stores.accounts.parties_of(account.party)
        await _require_strangers(platform, campaign_id, parties)


async def require_stranger_by_person(
    platform: Platform, campaign_id: str, parties: frozenset[str]
) -> None:
    """Raise OwnCampaign where any of a person's parties is of the campaign's team."""
    await _require_strangers(platform, campaign_id, parties)


async def require_stranger_by_card(platform: Platform, campaign_id: str, card_mark: str) -> None:
    """Raise OwnCampaign where somebody in the campaign's team has given this card before."""
    parties = await platform.stores.methods.parties_with(card_mark)
    accounts = await platform.stores.accounts.of_parties(parties)
    people = {account.party for account in accounts.values()}
    await _require_strangers(platform, campaign_id, parties | people)


async def _require_strangers(platform: Platform, campaign_id: str, parties: frozenset[str]) -> None:
    if not parties:
        return

    def any_of_team(state: Campaign) -> bool:
        return any(state.is_team(party) for party in parties)

    if await asyncio.to_thread(platform.engine.inspect, campaign_id, any_of_team):
        raise OwnCampaign
