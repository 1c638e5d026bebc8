"""From what was sent to what is submitted: ids are made, texts go to the content store."""

from __future__ import annotations

from app.api.bodies import CampaignIn, MilestoneIn, NeedIn, RewardIn, TextIn
from app.api.problems import Refused
from app.publishing import (
    Manuscript,
    Wording,
    put_note,
    put_wording,
    require_fit,
    terms_for,
    with_texts,
)
from app.stores.api_keys import ApiKey
from app.stores.channels import Channel, UnknownChannelError
from app.stores.rows import new_id
from app.wiring import Platform
from domain.terms import Milestone, Need, Reward, ShippingFee, Submission


async def channel_of(platform: Platform, named: str) -> Channel:
    """The channel that was named, or the only one there is. Raises Refused."""
    if named:
        try:
            return await platform.stores.channels.get(named)
        except UnknownChannelError as fault:
            raise Refused("body_invalid", "There is no such channel.") from fault
    channels = await platform.stores.channels.all()
    if len(channels) != 1:
        raise Refused("body_invalid", f"Name one of the {len(channels)} channels.")
    return channels[0]


async def creator_of(platform: Platform, key: ApiKey, data: CampaignIn, at: int) -> str:
    """Whose campaign it is: the key's owner, or for staff whom they name, or somebody new."""
    if "staff" not in key.scopes:
        if data.creator_id not in ("", key.owner):
            raise Refused("scope_missing", "Only a staff key submits for another creator.")
        return key.owner
    if data.creator_id:
        return data.creator_id
    return await platform.stores.people.add_person("creator", display_name=data.creator_name, at=at)


async def submission_of(
    platform: Platform, key: ApiKey, data: CampaignIn, channel: Channel, creator: str, at: int
) -> Submission:
    """Build the submission and keep its texts.

    Nothing is kept where it is not fit to submit. Raises Refused or ContentInvalid.
    """
    is_staff = "staff" in key.scopes
    if not is_staff and (data.terms is not None or data.first_time_creator is not None):
        raise Refused("scope_missing", "Only a staff key sets terms or knows a creator.")
    bare = Submission(
        creator=creator,
        team=data.team,
        model=data.model,
        currency=data.currency,
        goal_minor=data.goal_minor,
        deadline_at=data.deadline_at,
        terms=terms_for(data.model, data.terms or channel.terms),
        rewards=tuple(_reward(reward, "") for reward in data.rewards),
        needs=tuple(_need(need, "") for need in data.needs),
        milestones=tuple(_milestone(milestone, "") for milestone in data.milestones),
        first_time_creator=data.first_time_creator is not False,
    )
    require_fit(bare, channel, at)
    return await with_texts(platform.stores.content, bare, _manuscript(data), at=at)


def _manuscript(data: CampaignIn) -> Manuscript:
    def words(sent: tuple[RewardIn | NeedIn | MilestoneIn, ...]) -> tuple[Wording, ...]:
        return tuple(Wording(part.title, part.description) for part in sent)

    return Manuscript(
        document={
            "title": data.title,
            "blurb": data.blurb,
            "story": data.story,
            "risks": data.risks,
        },
        rewards=words(data.rewards),
        needs=words(data.needs),
        milestones=words(data.milestones),
    )


async def reward_of(platform: Platform, data: RewardIn, at: int) -> Reward:
    """A reward with its text kept."""
    wording = Wording(data.title, data.description)
    return _reward(data, await put_wording(platform.stores.content, wording, at=at))


async def text_of(platform: Platform, data: TextIn, at: int) -> str:
    """Keep a text and return its salted hash. Raises Refused where nothing is said."""
    if not (data.title.strip() or data.body.strip()):
        raise Refused("body_invalid", "The text says nothing.")
    return await put_note(platform.stores.content, data.title, data.body, at=at)


def _reward(data: RewardIn, text: str) -> Reward:
    return Reward(
        reward_id=data.reward_id or new_id(),
        price_minor=data.price_minor,
        limit=data.limit,
        delivery_at=data.delivery_at,
        shipping=tuple(ShippingFee(fee.region, fee.fee_minor) for fee in data.shipping),
        add_on=data.add_on,
        text=text,
    )


def _need(data: NeedIn, text: str) -> Need:
    return Need(need_id=data.need_id or new_id(), quantity=data.quantity, text=text)


def _milestone(data: MilestoneIn, text: str) -> Milestone:
    return Milestone(
        milestone_id=data.milestone_id or new_id(), share_bps=data.share_bps, text=text
    )
