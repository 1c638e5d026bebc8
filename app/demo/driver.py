"""Keep the demo alive: a pledge every few seconds, to a campaign that takes them."""

from __future__ import annotations

import asyncio
import random
import uuid

from eventsourcing.persistence import PersistenceError

from app.engine import EngineBusy
from app.wiring import Platform
from domain import commands as c
from domain.errors import Rejection
from domain.money import EXPONENTS
from projections.campaign_pages import CampaignPage, list_pages

PAUSE_S = (2.0, 5.0)
"""Shortest and longest pause between two pledges, in seconds."""

_GIFTS = (1, 1, 2, 5, 10)


async def drive(platform: Platform) -> None:
    """Pledge until cancelled."""
    chance = random.Random()  # noqa: S311 - a demo, not a secret
    bank = platform.bank
    while True:
        await asyncio.sleep(chance.uniform(*PAUSE_S))
        async with platform.views.connect() as views:
            live = [page for page in await list_pages(views, phase="live") if _takes(page)]
        if not live:
            continue
        page = chance.choice(live)
        at = platform.clock()
        backer = await platform.stores.people.mint_backer(at=at)
        reference = await asyncio.to_thread(bank.prepare_method_direct, "success", at=at)
        method = await platform.stores.methods.add(
            party=backer, provider=bank.name, reference=reference, at=at
        )
        pledge_id = str(uuid.uuid4())
        command = c.MakePledge(
            campaign_id=page.campaign_id,
            by=f"backer:{backer}",
            command_id=pledge_id,
            pledge_id=pledge_id,
            backer=backer,
            amount_minor=chance.choice(_GIFTS) * 10 ** EXPONENTS[page.currency],
            currency=page.currency,
            payment_method=method,
        )
        try:
            await platform.engine.submit_async(command)
        except (Rejection, EngineBusy, PersistenceError):  # closed meanwhile, or busy: the next one
            continue


def _takes(page: CampaignPage) -> bool:
    """Leave the one that waits for a visitor's pledge, and the empty ones, to the visitor."""
    short_minor = page.goal_minor - page.pledged_minor
    nearly = 0 < short_minor <= page.goal_minor * 5 // 100
    return page.pledges > 0 and not page.suspended and not nearly
