"""The channel's desk: what waits for somebody, the channel's numbers, its health at a glance."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.response import Template

from app.web.site import PageRequest, Site
from app.web.staff import reading
from app.web.staff.frame import names_of, staff_page, titles_of
from app.web.staff.health import glance
from app.web.staff.posts import ALL, ChannelChoice, channel_post

FIRST = 5
"""How many of each queue the desk names."""


@get("/staff", include_in_schema=False)
async def show_desk(
    request: PageRequest, site: NamedDependency[Site], channel: ChannelChoice = ""
) -> Template:
    """What waits first, then how the channel stands."""
    post = await channel_post(site, request, *ALL, channel=channel)
    async with site.platform.views.connect() as connection:
        queue = (await reading.queue(connection, post.channel.id))[:FIRST]
        payouts = (await reading.payouts(connection, post.channel.id, ("requested",), oldest=True))[
            :FIRST
        ]
        sums = await reading.sums(connection, post.channel.id)
        phases = await reading.phases(connection, post.channel.id)
        pledges = await reading.by_state(connection, post.channel.id)
    reports = (await site.platform.stores.reports.open(post.channel.id))[:FIRST]
    listed = [*queue, *(line.campaign for line in payouts)]
    return await staff_page(
        site,
        post,
        "desk.html",
        "desk",
        queue=queue,
        payouts=payouts,
        reports=reports,
        sums=sums,
        phases=phases,
        pledges=pledges,
        titles=await titles_of(site, listed),
        names=await names_of(
            site,
            [
                *(found.creator for found in queue),
                *(line.row.by.partition(":")[2] for line in payouts),
            ],
        ),
        health=await glance(site),
    )
