"""What the demo shows: sample campaigns in every phase, as `campaigns/*.toml` describe them.

All of it is made up and says so.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from domain.terms import CollectAt, Model

FOLDER: Final = Path(__file__).parent / "campaigns"
OTHER_LANGUAGE: Final = {"en": "zh-Hans", "zh-Hans": "en"}

Story = Literal[
    "live",
    "suspended",
    "cards_fail",
    "milestones",
    "cancelled_after_payout",
    "completed",
    "half_paid",
    "disputed",
    "submitted",
    "resubmitted",
]
"""What happens to a campaign besides its pledges."""

_SAMPLE: Final = {
    "en": "This is a sample campaign: nobody stands behind it and no money moves.",
    "zh-Hans": "这是示例项目：背后没有人，也没有真实资金流动。",
}
_OPEN: Final = {
    "en": (
        "## What happens with the money\n\n"
        "Everything that comes in can be followed on this page, from the pledge over the charge to"
        " the payout, and replayed by anyone who has the log.\n\n"
        "- Each number says what it is: *pledged*, *charged*, *held*, *paid*, *returned*.\n"
        "- This campaign's money pays only for this campaign.\n"
        "- If it is called off, what is left of each pledge goes back to its backer."
    ),
    "zh-Hans": (
        "## 钱怎么走\n\n"
        "每一笔进来的钱都能在本页上跟踪：从支持、扣款到拨付；持有日志的人都可以重放核对。\n\n"
        "- 每个数字都说明自己是什么：已支持、已扣款、待拨付、已拨付、已退回。\n"
        "- 专款专用。\n"
        "- 项目若取消，每笔支持剩下的钱退回给支持者本人。"
    ),
}
_MODEL: Final = {
    ("all_or_nothing", "en"): "If the goal is missed, nobody is charged.",
    ("all_or_nothing", "zh-Hans"): "如果没有达标，谁都不会被扣款。",
    ("flexible", "en"): "We keep what comes in and do as much of it as that allows.",
    ("flexible", "zh-Hans"): "筹到多少，就做多少。",
}
_RISKS: Final = {
    "en": "Wood, weather and permits may take longer than we think. We write every month, also when"
    " there is nothing good to say.",
    "zh-Hans": "木料、天气和许可都可能比预想的慢。我们每个月写一次近况，没有好消息时也写。",
}


class PlannedReward(Struct, frozen=True, kw_only=True):
    """A reward; `price` is in major units of the campaign's currency, `delivery` in days after the
    campaign's end. `en` and `zh` are title and description. The sample pledges take at most `sold`
    pieces of a limited one.
    """

    en: tuple[str, str]
    zh: tuple[str, str]
    price: float
    limit: int | None = None
    sold: int = 10_000
    ships: bool = False
    add_on: bool = False
    delivery: int = 90


class Plan(Struct, frozen=True, kw_only=True):
    """One sample campaign. Times are days before (-) or after (+) the start of the demo; amounts
    are in major units; `backers` pledge until now or the end, whichever comes first. With `percent`
    a last pledge brings it to that part of the goal. `en` and `zh` are title, blurb and the first
    paragraph of the story; `language` is the one it was written in.
    """

    team: str
    category: str
    currency: str
    goal: int
    launch: float
    end: float
    backers: int
    gifts: tuple[int, ...]
    en: tuple[str, str, str]
    zh: tuple[str, str, str]
    channel: str
    language: Literal["en", "zh-Hans"] = "en"
    percent: int = 0
    model: Model = "all_or_nothing"
    collect_at: CollectAt = "success"
    rewards: tuple[PlannedReward, ...] = ()
    needs: tuple[tuple[str, str, int], ...] = ()
    milestones: tuple[tuple[str, str, int], ...] = ()
    updates: tuple[tuple[float, str, str, str, str], ...] = ()
    story: Story = "live"

    def texts(self, language: str) -> dict[str, str]:
        """The campaign's texts in a language of the site."""
        title, blurb, first = self.en if language == "en" else self.zh
        own = "\n\n".join(
            (first, _OPEN[language], _MODEL[self.model, language], f"*{_SAMPLE[language]}*")
        )
        return {"title": title, "blurb": blurb, "story": own, "risks": _RISKS[language]}

    def document(self) -> dict[str, Any]:
        """The campaign's texts as the content store keeps them."""
        other = OTHER_LANGUAGE[self.language]
        return self.texts(self.language) | {
            "category": self.category,
            "language": self.language,
            "translations": {other: self.texts(other)},
        }

    def part(self, names: tuple[str, ...], en: tuple[str, ...], zh: tuple[str, ...]) -> Any:  # noqa: ANN401 - a document
        """The texts of a part of the campaign: a reward, a need, a milestone, an update."""
        said = {
            "en": dict(zip(names, en, strict=True)),
            "zh-Hans": dict(zip(names, zh, strict=True)),
        }
        other = OTHER_LANGUAGE[self.language]
        return said[self.language] | {
            "language": self.language,
            "translations": {other: said[other]},
        }


class ChannelPlan(Struct, frozen=True, kw_only=True):
    """A sample channel, its campaigns, and those that its staff have yet to review."""

    name: str
    languages: tuple[str, ...]
    currencies: tuple[str, ...]
    plans: tuple[Plan, ...]
    in_review: tuple[Plan, ...]


def channel_plan(name: str) -> ChannelPlan:
    """Read the channel that `campaigns/<name>.toml` describes."""
    found = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    plans, in_review = (
        tuple(
            msgspec.convert(campaign | {"channel": name}, Plan) for campaign in found.get(kind, ())
        )
        for kind in ("campaign", "review")
    )
    about = found["channel"]
    return ChannelPlan(
        name=about["name"],
        languages=tuple(about["languages"]),
        currencies=tuple(about["currencies"]),
        plans=plans,
        in_review=in_review,
    )


CHANNELS: Final = ("river", "delta")
"""The sample channels, by the names of their files."""
