"""Every address of the API, below `/api/v1`."""

from __future__ import annotations

from typing import Final

from app.api import (
    account,
    asking,
    backing,
    curating,
    desk,
    drafts,
    everybody,
    finding,
    mail_choices,
    pictures,
    receipts,
    roles,
    staff,
    storefronts,
)
from app.api.actions import ACTIONS, action_handler
from app.api.backers import keep_payment_method, mint_backer
from app.api.campaigns import get_campaign, list_campaigns, resubmit_campaign, submit_campaign
from app.api.events import read_events
from app.api.pledges import pledge, pledge_batch
from app.api.quotes import refund_quote

HANDLERS: Final = (
    submit_campaign,
    resubmit_campaign,
    list_campaigns,
    get_campaign,
    *everybody.HANDLERS,
    *storefronts.HANDLERS,
    *finding.HANDLERS,
    *asking.HANDLERS,
    *drafts.HANDLERS,
    *pictures.HANDLERS,
    *desk.HANDLERS,
    *staff.HANDLERS,
    *curating.HANDLERS,
    *roles.HANDLERS,
    pledge,
    pledge_batch,
    *backing.HANDLERS,
    *receipts.HANDLERS,
    refund_quote,
    *(action_handler(action) for action in ACTIONS),
    mint_backer,
    keep_payment_method,
    read_events,
    *account.HANDLERS,
    *mail_choices.HANDLERS,
)
