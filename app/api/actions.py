"""Every other command by API: one address for each, whose body holds the command's own fields.

`POST /api/v1/campaigns/{campaign_id}/payouts/approve` with `{"payout_id": …}` is the command
ApprovePayout. Texts and rewards are sent in full; their texts go to the content store.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, cast, get_args

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.params import BodyKwarg, FromPath
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

from app.api.access import ApiRequest
from app.api.addresses import Notes, writes
from app.api.answers import ActionOut, action_out
from app.api.backers import require_own_method
from app.api.bodies import (
    MAX_MARKED,
    Body,
    ChoiceIn,
    Count,
    Minor,
    RewardIn,
    StoryIn,
    TextIn,
    Time,
    Word,
)
from app.api.intake import reward_of, text_of
from app.api.repeating import idempotency_key, planned
from app.stores.api_keys import ApiKey, Scope
from app.stores.rows import new_id
from app.wiring import Platform
from domain import commands as c
from domain.state import Campaign
from domain.terms import Choice, Reward

_COMMON: Final = frozenset(field.name for field in fields(c.Command))

_TIMES: Final = frozenset({"deadline_at"})
_AMOUNTS: Final = frozenset({"amount_minor"})


class Action(Struct, frozen=True):
    """An address below a campaign, the command it stands for, and the scopes of which one is
    needed; who exactly may do it is the rules' to say.
    """

    path: str
    command: type[c.Command]
    scopes: tuple[Scope, ...]


_CREATOR: Final[tuple[Scope, ...]] = ("campaigns:write",)
_STAFF: Final[tuple[Scope, ...]] = ("staff",)
_TREASURER: Final[tuple[Scope, ...]] = ("payouts:approve",)
_BACKER: Final[tuple[Scope, ...]] = ("pledges:write", "staff")

ACTIONS: Final = (
    Action("approve", c.ApproveCampaign, _STAFF),
    Action("return", c.ReturnCampaign, _STAFF),
    Action("launch", c.LaunchCampaign, _CREATOR),
    Action("suspend", c.SuspendCampaign, _STAFF),
    Action("resume", c.ResumeCampaign, _STAFF),
    Action("extend-deadline", c.ExtendDeadline, _CREATOR),
    Action("cancel", c.CancelCampaign, _CREATOR),
    Action("late-pledges/open", c.OpenLatePledges, _CREATOR),
    Action("late-pledges/close", c.CloseLatePledges, _CREATOR),
    Action("updates", c.PostUpdate, _CREATOR),
    Action("story", c.ChangeStory, _CREATOR),
    Action("plan", c.UpdatePlan, _CREATOR),
    Action("rewards/add", c.AddReward, _CREATOR),
    Action("rewards/change", c.ChangeReward, _CREATOR),
    Action("rewards/stock", c.ChangeRewardStock, _CREATOR),
    Action("needs/offer", c.OfferNeed, ("pledges:write",)),
    Action("needs/accept", c.AcceptNeed, _CREATOR),
    Action("needs/decline", c.DeclineNeed, _CREATOR),
    Action("needs/receive", c.ReceiveNeed, _CREATOR),
    Action("pledges/revise", c.RevisePledge, _BACKER),
    Action("pledges/withdraw", c.WithdrawPledge, _BACKER),
    Action("pledges/payment-method", c.ReplacePaymentMethod, _BACKER),
    Action("refunds", c.RequestRefund, _CREATOR),
    Action("deliveries/mark", c.MarkDelivered, _CREATOR),
    Action("deliveries/confirm", c.ConfirmReceived, ("pledges:write",)),
    Action("payout-account", c.VerifyPayoutAccount, _STAFF),
    Action("payouts/request", c.RequestPayout, _CREATOR),
    Action("payouts/approve", c.ApprovePayout, _TREASURER),
    Action("payouts/refuse", c.RefusePayout, _TREASURER),
    Action("payouts/revoke", c.RevokePayout, (*_STAFF, *_TREASURER)),
    Action("debt/repaid", c.RecordRepayment, (*_STAFF, *_TREASURER)),
    Action("debt/write-off", c.WriteOffDebt, _TREASURER),
    Action("discrepancies/resolve", c.ResolveDiscrepancy, (*_STAFF, *_TREASURER)),
)
"""What can be done to a campaign besides submitting it and pledging to it."""


def body_type(command: type[c.Command]) -> type[Body]:
    """The body that asks for a command: its own fields, within the bounds of the edge."""
    shaped: list[Any] = [
        (field.name, _edge_type(command, field.name, field.type), *_default(field))
        for field in fields(command)
        if field.name not in _COMMON
    ]
    body: Any = msgspec.defstruct(
        f"{command.__name__}In",
        shaped,
        bases=(Body,),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        namespace={"__doc__": command.__doc__},
    )
    return cast("type[Body]", body)


def _default(field: FieldInfo) -> tuple[Any, ...]:
    return () if field.required else (field.default,)


def _edge_type(command: type[c.Command], name: str, kind: Any) -> Any:  # noqa: ANN401 - any type
    """How a field of a command is sent: bounded, and in full where the command has a hash."""
    if command is c.ChangeStory and name == "text":
        return StoryIn
    if kind is str:
        return TextIn if name == "text" else Word
    if kind is Reward:
        return RewardIn
    if kind is int:
        return Time if name in _TIMES else Minor if name in _AMOUNTS else Count
    if kind == int | None:
        return Count | None
    if kind == tuple[int, ...]:
        return Annotated[tuple[Count, ...], Meta(max_length=MAX_MARKED)]
    if kind == tuple[Choice, ...]:
        return Annotated[tuple[ChoiceIn, ...], Meta(max_length=50)]
    assert get_args(kind), f"no way is known to send {name}"
    return kind


async def _facts(platform: Platform, body: Body) -> dict[str, Any]:
    """The command's fields: texts and rewards are kept, the rest is taken as it is."""
    found: dict[str, Any] = {}
    for field in fields(body):
        value: object = getattr(body, field.name)
        if isinstance(value, StoryIn):
            story = msgspec.structs.asdict(value)
            value = await platform.stores.content.put(story, at=platform.clock())
        elif isinstance(value, TextIn):
            value = await text_of(platform, value, platform.clock())
        elif isinstance(value, RewardIn):
            value = await reward_of(platform, value, platform.clock())
        elif isinstance(value, tuple):
            value = tuple(map(_chosen, value))
        found[field.name] = value
    return found


def _chosen(part: object) -> object:
    return Choice(part.reward_id, part.quantity) if isinstance(part, ChoiceIn) else part


async def actor_of(platform: Platform, key: ApiKey, campaign_id: str, body: Body) -> str:
    """Who acts: the key's owner; on a pledge of an earlier party that joined the owner's account,
    that party.
    """
    pledge_id = getattr(body, "pledge_id", "")
    if key.role != "backer" or not pledge_id:
        return key.by
    parties = await platform.stores.accounts.parties_of(key.owner)
    if len(parties) == 1:
        return key.by
    backer = await _backer_of(platform, campaign_id, pledge_id)
    return f"backer:{backer}" if backer in parties else key.by


async def _require_backers_method(platform: Platform, command: c.ReplacePaymentMethod) -> None:
    backer = await _backer_of(platform, command.campaign_id, command.pledge_id)
    if backer:  # else the rules say what is wrong
        await require_own_method(platform, backer, command.payment_method)


async def _backer_of(platform: Platform, campaign_id: str, pledge_id: str) -> str:
    """Whose pledge it is; empty where there is none."""

    def look(state: Campaign) -> str:
        no = state.no_by_id.get(pledge_id)
        return "" if no is None else state.pledges[no - 1].backer

    return await asyncio.to_thread(platform.engine.inspect, campaign_id, look)


def action_handler(action: Action) -> HTTPRouteHandler:
    """The handler of one row of the table."""

    async def act(
        campaign_id: FromPath[str],
        request: ApiRequest,
        platform: NamedDependency[Platform],
        *,
        data: Any,  # noqa: ANN401 - its type is set below, for each action its own
    ) -> Response[ActionOut]:
        async def build() -> c.Command:
            return action.command(
                campaign_id=campaign_id,
                by=await actor_of(platform, request.auth, campaign_id, data),
                acting_in=request.auth.channel,
                command_id=new_id(),
                **await _facts(platform, data),
            )

        command = await planned(platform, request, action.command, build)
        if isinstance(command, c.ReplacePaymentMethod):
            await _require_backers_method(platform, command)
        key = idempotency_key(request, action.command.__name__)
        return action_out(campaign_id, await platform.engine.submit_async(command, key))

    body = body_type(action.command)
    act.__annotations__["data"] = Annotated[body, BodyKwarg(media_type=RequestEncodingType.JSON)]
    if not any(field.required for field in fields(body)):
        act.__kwdefaults__ = {"data": body()}
    act.__doc__ = action.command.__doc__
    declare = writes(
        f"/campaigns/{{campaign_id:str}}/{action.path}",
        *action.scopes,
        notes=Notes(area="Commands", command=True),
        name=action.command.__name__,
        summary=(action.command.__doc__ or "").strip().partition(".")[0],
    )
    return declare(act)
