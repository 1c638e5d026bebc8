"""What people do at a channel besides pledging: questions, reports, offers of help, a draft."""

from __future__ import annotations

from typing import Any, Final

from app.demo.people import SamplePeople
from app.stores.rows import new_id
from app.wiring import Platform
from domain import commands as c
from domain.terms import DAY_MS
from projections.campaign_pages import CampaignPage

_HOUR_MS: Final = 3_600_000

_QUESTIONS: Final = (
    (
        "Will there be subtitles for the silent films, too? (sample question)",
        "Yes: the title cards are translated, both ways. (sample answer)",
    ),
    ("多雨的晚上怎么办？（示例提问）", "雨天改到下一个晚上，毛毯照旧。（示例回答）"),
    ("Is the path under the viaduct step-free? (sample question)", ""),
)

_TOLD: Final = ("Roofs", "Sailcloth", "Kitchen")
"""The teams whose campaigns' mails lie in the outbox from the beginning."""

_PICKED: Final = ("Orchestra", "Viaduct", "Valley", "Tide", "Bridge", "Alphabet")
"""The teams whose campaigns the channels' staff feature."""


async def _tell_anew(platform: Platform, page: CampaignPage, at: int) -> None:
    """Let a team add to its story after the launch, in sight of everybody."""
    content = platform.stores.content
    document: dict[str, Any] = dict((await content.get_many([page.text]))[page.text])
    for telling in (document, *document["translations"].values()):
        telling["story"] += "\n\n" + (
            "The ropes are tested: two tonnes, twice. (sample change)"
            if telling["story"].isascii()
            else "绳子试过了：两吨，两次。（示例改动）"
        )
    await platform.engine.submit_async(
        c.ChangeStory(
            campaign_id=page.campaign_id,
            by=f"creator:{page.creator}",
            command_id=new_id(),
            text=await content.put(document, at=at),
        )
    )


async def liven(
    platform: Platform, people: SamplePeople, by_team: dict[str, CampaignPage], at: int
) -> None:
    """Add to the sample campaigns what people did around them. `by_team`: pages by the first word
    of their team; `at` is the demo's beginning, ms UTC.
    """
    stores = platform.stores
    film, valley = by_team["Viaduct"], by_team["Valley"]
    for days, (asked, answered) in enumerate(_QUESTIONS, start=1):
        asked_at = at - (4 - days) * DAY_MS
        question = await stores.questions.ask(
            film.campaign_id, people["backer"], asked, at=asked_at
        )
        if answered:
            await stores.questions.answer(
                film.campaign_id,
                question.id,
                answered,
                by=people["creator"],
                at=asked_at + 5 * _HOUR_MS,
            )
    for team in reversed(_PICKED):
        page = by_team[team]
        await stores.features.feature(page.campaign_id, page.channel, by=people["staff"], at=at)
    quiet = by_team["Quiet"]
    await stores.reports.send(
        campaign_id=quiet.campaign_id,
        channel=quiet.channel,
        reason="untrue",
        body="The map shows a place that is a building site. (sample report)",
        source="demo",
        party=people["backer"],
        at=at - DAY_MS,
    )
    for need in valley.needs[:2]:
        await platform.engine.submit_async(
            c.OfferNeed(
                campaign_id=valley.campaign_id,
                by=f"backer:{people['backer']}",
                command_id=new_id(),
                offer_id=new_id(),
                need_id=need.need_id,
                quantity=3,
            )
        )
    await _tell_anew(platform, by_team["Bridge"], at)
    await stores.drafts.create(
        channel=film.channel,
        creator=people["creator"],
        body={
            "title": "A sample draft: deck chairs for the roof",
            "blurb": "Sixteen chairs that fold. Sample draft.",
            "category": "design",
            "currency": film.currency,
            "goal": "9000",
        },
        at=at - 2 * DAY_MS,
    )
    await stores.follows.follow(film.campaign_id, people["auditor"], language="en", at=at)
    await platform.news.begin()
    for team in _TOLD:
        await platform.news.tell_campaign(by_team[team].campaign_id)
