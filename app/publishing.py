"""From what somebody wrote to what is submitted: texts go to the content store, and what is handed
in names them by their salted hashes.

The API and the creator's pages hand campaigns in by the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from app.stores.channels import Channel
from app.stores.content import Content
from domain import errors
from domain.lifecycle import submission_faults
from domain.terms import Milestone, Model, Need, Reward, Submission, Terms


class Wording(Struct, frozen=True):
    """The title and description of a reward, need or milestone."""

    title: str
    description: str = ""


class Manuscript(Struct, frozen=True, kw_only=True):
    """All words of a campaign: its own document, and those of its parts in their order."""

    document: dict[str, object]
    rewards: tuple[Wording, ...] = ()
    needs: tuple[Wording, ...] = ()
    milestones: tuple[Wording, ...] = ()


def terms_for(model: Model, terms: Terms) -> Terms:
    """The channel's terms for a model: a flexible campaign is always charged at the pledge."""
    return msgspec.structs.replace(terms, collect_at="pledge") if model == "flexible" else terms


def require_fit(bare: Submission, channel: Channel, at: int) -> None:
    """Raise ContentInvalid unless the channel and the rules would take this submission.

    Asked before its texts are kept, so that nothing is kept of what is refused.
    """
    if bare.currency not in channel.currencies:
        known = ", ".join(channel.currencies)
        raise errors.ContentInvalid(f"The channel's currencies are {known}.")
    if faults := submission_faults(bare, at):
        raise errors.ContentInvalid(f"Not fit to submit: {'; '.join(faults)}.")


async def with_texts(
    content: Content, bare: Submission, words: Manuscript, *, at: int
) -> Submission:
    """Keep the words and return the submission that names them."""
    return msgspec.structs.replace(
        bare,
        text=await content.put(words.document, at=at),
        rewards=await _told(content, bare.rewards, words.rewards, at),
        needs=await _told(content, bare.needs, words.needs, at),
        milestones=await _told(content, bare.milestones, words.milestones, at),
    )


_Told = TypeVar("_Told", Reward, Need, Milestone)


async def _told(
    content: Content, parts: tuple[_Told, ...], words: Sequence[Wording], at: int
) -> tuple[_Told, ...]:
    """The same parts with the hashes of their words."""
    return tuple(
        [
            msgspec.structs.replace(part, text=await put_wording(content, wording, at=at))
            for part, wording in zip(parts, words, strict=True)
        ]
    )


async def put_wording(content: Content, wording: Wording, *, at: int) -> str:
    """Keep the words of a part and return their salted hash."""
    document = {"title": wording.title, "description": wording.description}
    return await content.put(document, at=at)


async def put_note(content: Content, title: str, body: str, *, at: int) -> str:
    """Keep an update, plan or remark and return its salted hash."""
    return await content.put({"title": title, "body": body}, at=at)
