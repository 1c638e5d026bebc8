"""A draft: everything a creator has typed, as they typed it, and how it becomes a submission.

What is typed is kept as it is, whether it makes sense yet or not: `2,0` in a price is kept, shown
again and named on the checklist. Only the submission needs it to be an amount.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.publishing import Manuscript, Wording, terms_for
from app.stores.channels import Channel
from app.stores.rows import new_id
from app.web.dates import moment
from app.web.money import major, parse_amount
from app.web.visitors import Form
from domain.ids import is_id
from domain.money import BASIS_POINTS
from domain.terms import Milestone, Model, Need, Reward, ShippingFee, Submission
from projections.campaign_pages import CampaignPage

LONGEST_STORY: Final = 100_000
LONGEST_TEXT: Final = 5_000
LONGEST_LINE: Final = 200
LONGEST_BLURB: Final = 500
MOST_PARTS: Final = 60
MOST_FEES: Final = 40
MOST_TEAM: Final = 50
WORDS: Final = ("title", "blurb", "story", "risks")
"""The texts that can be told in another language, too."""

_LIMITS: Final = {"blurb": LONGEST_BLURB, "story": LONGEST_STORY, "risks": LONGEST_STORY}
_BPS_PER_PERCENT: Final = BASIS_POINTS // 100


class DraftFee(Struct, kw_only=True):
    """A row of a shipping table."""

    region: str = ""
    fee: str = ""


class DraftReward(Struct, kw_only=True):
    """A reward as it is being written. `delivery` is a month, `2026-09`."""

    id: str
    title: str = ""
    description: str = ""
    price: str = ""
    limit: str = ""
    delivery: str = ""
    add_on: bool = False
    shipping: list[DraftFee] = []


class DraftNeed(Struct, kw_only=True):
    """Something that is asked for besides money."""

    id: str
    title: str = ""
    description: str = ""
    quantity: str = ""


class DraftMilestone(Struct, kw_only=True):
    """A stage of the work; `share` is in percent."""

    id: str
    title: str = ""
    description: str = ""
    share: str = ""


class Telling(Struct, kw_only=True):
    """The campaign's words in another language."""

    title: str = ""
    blurb: str = ""
    story: str = ""
    risks: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is written."""
        return not any(getattr(self, part).strip() for part in WORDS)


class DraftBody(Struct, kw_only=True):
    """A draft's body. `deadline` is a day; `cover` a picture's hash; `team` are party ids."""

    title: str = ""
    blurb: str = ""
    story: str = ""
    risks: str = ""
    category: str = ""
    language: str = "en"
    cover: str = ""
    model: str = "all_or_nothing"
    currency: str = ""
    goal: str = ""
    deadline: str = ""
    rewards: list[DraftReward] = []
    needs: list[DraftNeed] = []
    milestones: list[DraftMilestone] = []
    team: list[str] = []
    translations: dict[str, Telling] = {}

    def stored(self) -> dict[str, object]:
        """The body as the store keeps it."""
        found: dict[str, object] = msgspec.to_builtins(self)
        return found


def body_of(stored: Mapping[str, object]) -> DraftBody:
    """Read a draft's body; what it does not have yet is empty."""
    return msgspec.convert(dict(stored), DraftBody)


def body_from(page: CampaignPage, texts: Mapping[str, Mapping[str, object]]) -> DraftBody:
    """The draft that a campaign could have been handed in from."""
    document = texts.get(page.text, {})
    currency = page.currency

    def words(part: Any) -> dict[str, str]:  # noqa: ANN401 - a reward, need or milestone
        text = texts.get(part.text, {})
        return {name: str(text.get(name, "")) for name in ("title", "description")}

    translations = document.get("translations", {})
    return DraftBody(
        **{part: str(document.get(part, "")) for part in (*WORDS, "category", "cover")},
        language=str(document.get("language", "")) or "en",
        model=page.model,
        currency=currency,
        goal=typed_again(page.goal_minor, currency),
        deadline=moment(page.deadline_at).date().isoformat(),
        rewards=[
            DraftReward(
                id=reward.reward_id,
                price=typed_again(reward.price_minor, currency),
                limit="" if reward.limit is None else str(reward.limit),
                delivery=f"{moment(reward.delivery_at):%Y-%m}" if reward.delivery_at else "",
                add_on=reward.add_on,
                shipping=[
                    DraftFee(region=fee.region, fee=typed_again(fee.fee_minor, currency))
                    for fee in reward.shipping
                ],
                **words(reward),
            )
            for reward in page.rewards
        ],
        needs=[
            DraftNeed(id=need.need_id, quantity=str(need.quantity), **words(need))
            for need in page.needs
        ],
        milestones=[
            DraftMilestone(
                id=stage.milestone_id, share=f"{stage.share_bps / 100:g}", **words(stage)
            )
            for stage in page.milestones
        ],
        team=[party for party in page.team if party != page.creator],
        translations={
            str(language): Telling(**{part: str(told.get(part, "")) for part in WORDS})
            for language, told in (translations.items() if isinstance(translations, dict) else ())
            if isinstance(told, dict)
        },
    )


# --- What was typed ------------------------------------------------------------------------------


def typed(form: Form, before: DraftBody) -> DraftBody:
    """The draft with what was typed into its form. What the form does not have stays as it was."""

    def line(name: str, was: str, longest: int = LONGEST_LINE) -> str:
        return form[name].replace("\r\n", "\n")[:longest] if name in form else was

    told = {part: line(part, getattr(before, part), _LIMITS.get(part, 200)) for part in WORDS}
    other = {
        language: Telling(
            **{
                part: line(f"{language}.{part}", getattr(telling, part), _LIMITS.get(part, 200))
                for part in WORDS
            }
        )
        for language, telling in before.translations.items()
    }
    return DraftBody(
        **told,
        category=line("category", before.category),
        language=line("language", before.language),
        cover=before.cover,
        model=line("model", before.model),
        currency=line("currency", before.currency),
        goal=line("goal", before.goal).strip(),
        deadline=line("deadline", before.deadline).strip(),
        rewards=[_reward(form, reward) for reward in before.rewards],
        needs=[_part(form, f"need.{need.id}", need) for need in before.needs],
        milestones=[_part(form, f"milestone.{stage.id}", stage) for stage in before.milestones],
        team=before.team,
        translations=other,
    )


def _part(form: Form, prefix: str, was: Any) -> Any:  # noqa: ANN401 - any part of a draft
    changes = {
        field: form[f"{prefix}.{field}"].replace("\r\n", "\n")[:LONGEST_TEXT]
        for field in was.__struct_fields__
        if isinstance(getattr(was, field), str) and f"{prefix}.{field}" in form and field != "id"
    }
    return msgspec.structs.replace(was, **changes)


def _reward(form: Form, was: DraftReward) -> DraftReward:
    prefix = f"reward.{was.id}"
    found: DraftReward = _part(form, prefix, was)
    regions, fees = form.all(f"{prefix}.region"), form.all(f"{prefix}.fee")
    if f"{prefix}.shown" in form:
        found.add_on = f"{prefix}.add_on" in form
        found.shipping = [
            DraftFee(region=region.strip().upper()[:6], fee=fee.strip()[:40])
            for region, fee in zip(regions, fees, strict=False)
        ][:MOST_FEES]
    return found


def add_part(body: DraftBody, kind: str) -> str:
    """Add an empty part of a kind; return its id, empty where there are too many already."""
    made = new_id()
    match kind:
        case "reward" if len(body.rewards) < MOST_PARTS:
            body.rewards = [*body.rewards, DraftReward(id=made)]
        case "need" if len(body.needs) < MOST_PARTS:
            body.needs = [*body.needs, DraftNeed(id=made)]
        case "milestone" if len(body.milestones) < MOST_PARTS:
            body.milestones = [*body.milestones, DraftMilestone(id=made)]
        case _:
            return ""
    return made


def remove_part(body: DraftBody, part_id: str) -> str:
    """Take a reward, need or milestone out of the draft; return the place where it stood."""
    for place in ("rewards", "needs", "milestones"):
        parts: list[Any] = getattr(body, place)
        left = [part for part in parts if part.id != part_id]
        if len(left) < len(parts):
            setattr(body, place, left)
            return place
    return ""


def add_fee(body: DraftBody, reward_id: str) -> None:
    """Add a row to a reward's shipping table."""
    for reward in body.rewards:
        if reward.id == reward_id and len(reward.shipping) < MOST_FEES:
            reward.shipping = [*reward.shipping, DraftFee()]


def differences(mine: DraftBody, theirs: DraftBody) -> list[tuple[str, str]]:
    """(field, the other's value) of everything in which two versions of a draft differ."""
    flat_mine, flat_theirs = _flat(mine.stored()), _flat(theirs.stored())
    return [
        (field, flat_theirs.get(field, ""))
        for field in sorted(flat_mine.keys() | flat_theirs.keys())
        if flat_mine.get(field, "") != flat_theirs.get(field, "")
    ]


def _flat(value: object, prefix: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        parts: Any = value.items()
    elif isinstance(value, list):
        parts = [
            (str(part.get("id", index)) if isinstance(part, dict) else str(index), part)
            for index, part in enumerate(value)
        ]
    else:
        return {prefix: str(value)}
    found: dict[str, str] = {}
    for name, part in parts:
        found |= _flat(part, f"{prefix}.{name}" if prefix else name)
    return found


# --- From typed to submitted ---------------------------------------------------------------------

_DIGITS: Final = re.compile(r"\d{1,9}", re.ASCII).fullmatch
_PERCENT: Final = re.compile(r"(\d{1,3})(?:[.,](\d{1,2}))?", re.ASCII).fullmatch


def whole(text: str) -> int | None:
    """A typed whole number; None where it is none."""
    text = text.strip().replace(",", "")
    return int(text) if _DIGITS(text) else None


def share_bps(text: str) -> int | None:
    """A typed percentage as basis points; None where it is none."""
    found = _PERCENT(text.strip().removesuffix("%").strip())
    if found is None:
        return None
    return int(found[1]) * _BPS_PER_PERCENT + int((found[2] or "").ljust(2, "0"))


def end_of_day(text: str) -> int | None:
    """The last minute of a day typed as `2026-03-12`, in ms UTC; None where it is none."""
    try:
        found = datetime.combine(datetime.fromisoformat(text).date(), time(23, 59), UTC)
    except ValueError:
        return None
    return int(found.timestamp()) * 1000


def month_start(text: str) -> int | None:
    """The first of a month typed as `2026-09`, in ms UTC; None where it is none."""
    try:
        found = datetime.fromisoformat(f"{text[:7]}-01").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(found.timestamp()) * 1000


def model_of(body: DraftBody) -> Model:
    """The model that was chosen."""
    return "flexible" if body.model == "flexible" else "all_or_nothing"


def fees_of(reward: DraftReward, currency: str) -> list[tuple[str, int | None]]:
    """(region, fee) of the rows of a shipping table that are not empty."""
    return [
        (fee.region, parse_amount(fee.fee or "0", currency))
        for fee in reward.shipping
        if fee.region or fee.fee
    ]


def reward_of(reward: DraftReward, currency: str) -> Reward:
    """A reward as it would be handed in. What cannot be read becomes what the rules refuse."""
    limit = None if not reward.limit.strip() else whole(reward.limit) or 0
    return Reward(
        reward_id=reward.id if is_id(reward.id) else new_id(),
        price_minor=parse_amount(reward.price, currency) or 0,
        limit=limit,
        delivery_at=month_start(reward.delivery) if reward.delivery else None,
        shipping=tuple(
            ShippingFee(region, -1 if fee is None else fee)
            for region, fee in fees_of(reward, currency)
        ),
        add_on=reward.add_on,
    )


def bare_submission(
    body: DraftBody, channel: Channel, creator: str, *, first_time_creator: bool
) -> Submission:
    """The submission without its texts; what was not typed yet is what the rules refuse."""
    model = model_of(body)
    return Submission(
        creator=creator,
        team=tuple(party for party in body.team if party != creator),
        model=model,
        currency=body.currency,
        goal_minor=parse_amount(body.goal, body.currency) or 0,
        deadline_at=end_of_day(body.deadline) or 0,
        terms=terms_for(model, channel.terms),
        rewards=tuple(reward_of(reward, body.currency) for reward in body.rewards),
        needs=tuple(
            Need(need_id=need.id, quantity=whole(need.quantity) or 0) for need in body.needs
        ),
        milestones=tuple(
            Milestone(milestone_id=stage.id, share_bps=share_bps(stage.share) or 0)
            for stage in body.milestones
        ),
        first_time_creator=first_time_creator,
    )


def document_of(body: DraftBody) -> dict[str, object]:
    """The campaign's own words, as the content store keeps them."""
    translations = {
        language: msgspec.to_builtins(telling)
        for language, telling in body.translations.items()
        if not telling.is_empty and language != body.language
    }
    return {
        **{part: getattr(body, part).strip() for part in WORDS},
        "category": body.category,
        "language": body.language,
        "cover": body.cover,
        **({"translations": translations} if translations else {}),
    }


def manuscript(body: DraftBody) -> Manuscript:
    """All words of a draft."""

    def words(parts: list[Any]) -> tuple[Wording, ...]:
        return tuple(Wording(part.title.strip(), part.description.strip()) for part in parts)

    return Manuscript(
        document=document_of(body),
        rewards=words(body.rewards),
        needs=words(body.needs),
        milestones=words(body.milestones),
    )


def typed_again(amount_minor: int, currency: str) -> str:
    """An amount as it would be typed."""
    return major(amount_minor, currency)
