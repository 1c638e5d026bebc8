"""Help in kind over all campaigns of the channel: what was offered and waits for an answer."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.response import Template

from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from app.web.staff import reading
from app.web.staff.frame import names_of, staff_page, titles_of
from app.web.staff.posts import REVIEWERS, ChannelChoice, channel_post
from app.web.staff.words import OFFER_STATES


@get("/staff/needs", include_in_schema=False)
async def show_needs(
    request: PageRequest, site: NamedDependency[Site], channel: ChannelChoice = ""
) -> Template:
    """Offers that wait, and those that were answered."""
    post_ = await channel_post(site, request, *REVIEWERS, channel=channel)
    async with site.platform.views.connect() as connection:
        waiting = await reading.offers(connection, post_.channel.id, ("offered",))
        answered = await reading.offers(
            connection, post_.channel.id, ("accepted", "declined", "received")
        )
    offers = [*waiting, *answered]
    texts = await site.platform.stores.content.get_many(
        {offer.need_text for offer in offers} - {""}
    )
    campaigns = {offer.campaign.campaign_id: offer.campaign for offer in offers}
    return await staff_page(
        site,
        post_,
        "needs.html",
        "needs",
        offers=waiting,
        answered=answered,
        titles=await titles_of(site, list(campaigns.values())),
        needs={
            offer.offer_id: in_language(texts.get(offer.need_text, {}), "title") for offer in offers
        },
        names=await names_of(site, ()),
        state_words=OFFER_STATES,
    )
