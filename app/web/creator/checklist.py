"""What a draft still lacks, each thing with the place where it is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from app.stores.channels import Channel
from app.stores.pictures import PictureInfo
from app.web.creator.drafting import (
    DraftBody,
    DraftReward,
    bare_submission,
    end_of_day,
    fees_of,
    month_start,
    share_bps,
    whole,
)
from app.web.language import gettext
from app.web.money import parse_amount
from domain.ids import is_region
from domain.lifecycle import submission_faults
from domain.money import BASIS_POINTS, is_amount
from domain.terms import DAY_MS

LONGEST_RUN_DAYS = 90
"""Longer campaigns do not raise more; after so many days people forget what they promised."""


class Item(Struct, frozen=True):
    """A line of the checklist. `field` is the id of the field on the editor's page."""

    field: str
    said: str
    done: bool


def checklist(
    body: DraftBody, channel: Channel, cover: PictureInfo | None, creator: str, at: int
) -> list[Item]:
    """Everything a submission needs, in the order of the page; what is amiss stands as it is."""
    items = [
        Item("title", gettext("Give it a title."), bool(body.title.strip())),
        Item("blurb", gettext("Say in a sentence or two what it is."), bool(body.blurb.strip())),
        Item("category", gettext("Choose a category."), bool(body.category)),
        Item("cover", gettext("Add a cover picture."), bool(body.cover)),
        Item("story", gettext("Tell the story."), bool(body.story.strip())),
        Item("risks", gettext("Say what could go wrong."), bool(body.risks.strip())),
        Item("goal", gettext("Set a goal."), _is_goal(body)),
        Item("deadline", gettext("Choose the last day."), _is_deadline(body, at)),
    ]
    if body.cover and not (cover and cover.alt.strip()):
        items.append(
            Item("cover", gettext("Describe the cover for people who cannot see it."), done=False)
        )
    if body.currency not in channel.currencies:
        items.append(Item("currency", gettext("Choose a currency of this channel."), done=False))
    deadline_at = end_of_day(body.deadline)
    if deadline_at and deadline_at > at + LONGEST_RUN_DAYS * DAY_MS:
        said = gettext("Choose a last day within %(days)s days.") % {"days": LONGEST_RUN_DAYS}
        items.append(Item("deadline", said, done=False))
    items += _parts(body)
    if all(item.done for item in items):
        # Whatever the rules know and this page does not; it stands in their own words.
        bare = bare_submission(body, channel, creator, first_time_creator=True)
        items += [Item("title", fault, done=False) for fault in submission_faults(bare, at)]
    return items


def _is_goal(body: DraftBody) -> bool:
    return is_amount(parse_amount(body.goal, body.currency) or 0)


def _is_deadline(body: DraftBody, at: int) -> bool:
    return (end_of_day(body.deadline) or 0) > at


def _parts(body: DraftBody) -> Iterator[Item]:
    for reward in body.rewards:
        yield from _wrong(f"reward-{reward.id}", reward.title, reward_faults(reward, body))
    if body.rewards and all(reward.add_on for reward in body.rewards):
        said = gettext("An add-on needs a reward beside it.")
        yield Item("rewards", said, done=False)
    for need in body.needs:
        faults: list[Callable[[], str]] = []
        if not need.title.strip():
            faults.append(lambda: gettext("Name the help you want."))
        if not whole(need.quantity):
            faults.append(lambda: gettext("Say how much help you want, in figures."))
        yield from _wrong(f"need-{need.id}", need.title, faults)
    if body.milestones:
        yield from _stages(body)


def _wrong(field: str, title: str, faults: list[Callable[[], str]]) -> Iterator[Item]:
    for fault in faults:
        named = {"title": title.strip(), "fault": fault()}
        said = gettext("%(title)s: %(fault)s") % named if title.strip() else fault()
        yield Item(field, said, done=False)


def reward_faults(reward: DraftReward, body: DraftBody) -> list[Callable[[], str]]:
    """What keeps a reward from being offered, each as what to say of it."""
    found: list[Callable[[], str]] = []
    if not reward.title.strip():
        found.append(lambda: gettext("Name the reward."))
    if not is_amount(parse_amount(reward.price, body.currency) or 0):
        found.append(lambda: gettext("Write its price in figures, such as 25 or 1,200.50."))
    if reward.limit.strip() and not whole(reward.limit):
        found.append(lambda: gettext("Write how many there are, or leave it empty for no end."))
    if reward.delivery and month_start(reward.delivery) is None:
        found.append(lambda: gettext("Write the delivery month as 2026-09."))
    fees = fees_of(reward, body.currency)
    if any(not is_region(region) for region, _ in fees):
        found.append(
            lambda: gettext("Write each country as two letters, such as CN, or * for all others.")
        )
    if len({region for region, _ in fees}) != len(fees):
        found.append(lambda: gettext("Name each country once."))
    if any(fee is None for _, fee in fees):
        found.append(lambda: gettext("Write what sending costs in figures; 0 is free."))
    return found


def _stages(body: DraftBody) -> Iterator[Item]:
    shares = [share_bps(stage.share) or 0 for stage in body.milestones]
    for stage, share in zip(body.milestones, shares, strict=True):
        if not stage.title.strip():
            yield Item(f"milestone-{stage.id}", gettext("Name the milestone."), done=False)
        if not share:
            said = gettext("Write the milestone's share in percent.")
            yield Item(f"milestone-{stage.id}", said, done=False)
    total = sum(shares)
    if total != BASIS_POINTS:
        percent = f"{total / 100:g}"
        said = gettext("The milestones' shares sum to %(percent)s %%, not to 100 %%.") % {
            "percent": percent
        }
        yield Item("milestones", said, done=False)
