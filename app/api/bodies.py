"""What programs send: the shapes of bodies, and how strictly they are read."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final

import msgspec
from litestar.types import Empty
from msgspec import Meta, Struct

from app.api.access import ApiRequest, header_of
from app.api.problems import DisconnectedError, Refused
from domain.events import Visibility
from domain.terms import Model, Terms

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

SAFE_INTEGER: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""
LAST_TIME_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""
MAX_TEXT: Final = 100_000
MAX_PARTS: Final = 500
MAX_MARKED: Final = 10_000

Minor = Annotated[
    int, Meta(ge=-SAFE_INTEGER, le=SAFE_INTEGER, description="In minor units of the currency.")
]
Count = Annotated[int, Meta(ge=0, le=SAFE_INTEGER)]
Time = Annotated[int, Meta(ge=0, le=LAST_TIME_MS, description="Milliseconds since 1970, UTC.")]
Word = Annotated[str, Meta(max_length=128)]
Title = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Parts = Meta(max_length=MAX_PARTS)


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object; a field that it does not have is refused, not passed over."""


class ChoiceIn(Body, frozen=True, kw_only=True, gc=False):
    """A reward or add-on, and how many."""

    reward_id: Word
    quantity: Count = 1


class PledgeIn(Body, frozen=True, kw_only=True, gc=False):
    """A pledge. `pledge_id` is a UUID made by the client: the same id again is the same pledge.

    `amount` is in minor units and covers the chosen rewards with their shipping. `reward_id` is
    short for one piece of one reward; `choices` names several, or add-ons beside it.
    `destination` is a country code such as CN, where something is shipped.
    """

    pledge_id: Word
    amount: Minor
    backer_id: Word = ""
    reward_id: Word = ""
    choices: Annotated[tuple[ChoiceIn, ...], Meta(max_length=50)] = ()
    payment_method: Word = ""
    currency: Word = ""
    destination: Word = ""
    visibility: Visibility = "hidden"


class PledgeLineIn(PledgeIn, frozen=True, kw_only=True, gc=False):
    """A line of a batch: a pledge with its campaign and its backer."""

    campaign_id: Word
    backer_id: Annotated[str, Meta(min_length=1, max_length=128)]


class TextIn(Body, frozen=True, kw_only=True):
    """A text for people. It is kept beside the log, which holds only its salted hash."""

    title: Annotated[str, Meta(max_length=200)] = ""
    body: Text = ""


class TranslationIn(Body, frozen=True, kw_only=True):
    """A campaign's texts in another language; what is left out is shown in the first one."""

    title: Annotated[str, Meta(max_length=200)] = ""
    blurb: Annotated[str, Meta(max_length=500)] = ""
    story: Text = ""
    risks: Text = ""


class StoryIn(Body, frozen=True, kw_only=True):
    """All the texts of a campaign. `cover` is the hash of a picture that was uploaded before, or
    empty; `category` one of the categories' slugs; `translations` are by language (`zh-Hans`).
    """

    title: Title
    blurb: Annotated[str, Meta(max_length=500)] = ""
    story: Text = ""
    risks: Text = ""
    category: Word = ""
    language: Word = "en"
    cover: Word = ""
    translations: Annotated[dict[Word, TranslationIn], Meta(max_length=10)] = msgspec.field(
        default_factory=dict
    )


class ShippingIn(Body, frozen=True, kw_only=True):
    """What sending one piece to a region costs: a country code, `US-CA`, or `*` for the rest."""

    region: Word
    fee_minor: Minor


class RewardIn(Body, frozen=True, kw_only=True):
    """A reward. Without `limit` there is no end to it; without `shipping` nothing is sent."""

    title: Title
    description: Text = ""
    price_minor: Minor
    limit: Count | None = None
    delivery_at: Time | None = None
    shipping: Annotated[tuple[ShippingIn, ...], Parts] = ()
    add_on: bool = False
    reward_id: Word = ""


class NeedIn(Body, frozen=True, kw_only=True):
    """Something other than money: what, and how many pieces, hours or whatever it says."""

    title: Title
    description: Text = ""
    quantity: Count
    need_id: Word = ""


class MilestoneIn(Body, frozen=True, kw_only=True):
    """A stage of the work, and the share of the money in basis points that follows it."""

    title: Title
    description: Text = ""
    share_bps: Count
    milestone_id: Word = ""


class CampaignIn(Body, frozen=True, kw_only=True):
    """A whole campaign, as it is submitted.

    Ids that are left out are made. `channel` may be left out where there is only one. Only staff
    name a `creator_id` (without one a creator is minted), other `terms` than the channel's, a
    creator who is not new (`first_time_creator`: false), or `launch`. A flexible campaign is always
    charged at the pledge.
    """

    title: Title
    blurb: Annotated[str, Meta(max_length=500)] = ""
    story: Text = ""
    risks: Text = ""
    category: Word = ""
    language: Word = "en"
    cover: Word = ""
    translations: Annotated[dict[Word, TranslationIn], Meta(max_length=10)] = msgspec.field(
        default_factory=dict
    )
    model: Model
    currency: Word
    goal_minor: Minor
    deadline_at: Time
    rewards: Annotated[tuple[RewardIn, ...], Parts] = ()
    needs: Annotated[tuple[NeedIn, ...], Parts] = ()
    milestones: Annotated[tuple[MilestoneIn, ...], Parts] = ()
    team: Annotated[tuple[Word, ...], Meta(max_length=50)] = ()
    campaign_id: Word = ""
    channel: Word = ""
    creator_id: Word = ""
    creator_name: Annotated[str, Meta(max_length=200)] = ""
    terms: Terms | None = None
    first_time_creator: bool | None = None
    launch: bool = False


class BackerIn(Body, frozen=True, kw_only=True):
    """Nothing is asked of a backer; `count` mints several at once."""

    count: Annotated[int, Meta(ge=1, le=10_000)] = 1


class PaymentMethodIn(Body, frozen=True, kw_only=True):
    """A payment method that a provider has prepared; `reference` is the provider's word for it."""

    backer_id: Word
    reference: Annotated[str, Meta(min_length=1, max_length=255)]
    provider: Word = ""


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:  # noqa: ANN401 - the type of any body
    return msgspec.json.Decoder(kind)


def decode_body(body: bytes, kind: Any) -> Any:  # noqa: ANN401 - the same
    """Read JSON as this type, without turning one type into another. Raises Refused."""
    try:
        return _decoder(kind).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise Refused("body_invalid", f"{fault}.") from fault


def require_media_type(request: ApiRequest, *taken: str) -> None:
    """Raise Refused where a body says of itself that it is something else; it may say nothing."""
    said = header_of(request.scope, b"content-type").decode("latin-1")
    if not said or said in taken:
        return
    said = said.partition(";")[0].strip().lower()
    if said and said not in taken:
        raise Refused("media_type_unsupported", f"This address takes {' or '.join(taken)}.")


class StrictRequest(ApiRequest):
    """Reads a body strictly as what its handler takes: `"5"` is no number here."""

    async def body(self) -> bytes:
        """Return the body. Raises Refused where it is longer than this address takes.

        One that comes in one piece, as nearly all do, goes no other way than this.
        """
        if self._body is not Empty:
            return self._body
        most = self.route_handler.resolve_request_max_body_size() or 0
        announced = header_of(self.scope, b"content-length")
        if announced.isdigit() and int(announced) > most:
            raise Refused("too_large")
        parts, size = [], 0
        while True:
            message: Any = await self.receive()
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise Refused("too_large")
            parts.append(part)
            if not message.get("more_body", False):
                break
        self._body = self._connection_state.body = parts[0] if len(parts) == 1 else b"".join(parts)
        return self._body

    async def json(self) -> Any:  # noqa: ANN401 - as the framework declares it
        """Return the body as the handler's `data` is annotated. Raises Refused."""
        body = await self.body()
        if body:
            require_media_type(self, JSON)
        field = self.route_handler.parsed_data_field
        return decode_body(body, Any if field is None else field.annotation)
