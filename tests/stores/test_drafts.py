from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.drafts import Draft, Drafts, StaleDraftError, UnknownDraftError


async def begun(engine: AsyncEngine) -> tuple[Drafts, Draft]:
    """Begin one draft of the creator `ada`."""
    drafts = Drafts(engine)
    return drafts, await drafts.create(channel="main", creator="ada", body={"title": "A"}, at=10)


async def test_a_draft_is_begun(engine: AsyncEngine) -> None:
    """A new draft is at revision 1, not submitted, and is read back as it was made."""
    drafts, draft = await begun(engine)
    assert await drafts.get(draft.id) == draft
    assert draft == Draft(
        id=draft.id,
        channel="main",
        creator="ada",
        body={"title": "A"},
        revision=1,
        created_at=10,
        updated_at=10,
        submitted_at=None,
    )


async def test_an_edit_replaces_the_body(engine: AsyncEngine) -> None:
    """An edit of the present revision is taken, and raises the revision."""
    drafts, draft = await begun(engine)
    edited = await drafts.edit(draft.id, revision=1, body={"goal": 5, "rewards": []}, at=20)
    assert edited == await drafts.get(draft.id)
    assert (edited.revision, edited.updated_at, edited.created_at) == (2, 20, 10)
    assert edited.body == {"goal": 5, "rewards": []}


async def test_a_stale_edit_is_refused(engine: AsyncEngine) -> None:
    """Who read an older revision is told the present one, and overwrites nothing."""
    drafts, draft = await begun(engine)
    await drafts.edit(draft.id, revision=1, body={"title": "B"}, at=20)
    for late in (
        drafts.edit(draft.id, revision=1, body={"title": "C"}, at=30),
        drafts.mark_submitted(draft.id, revision=1, at=30),
        drafts.delete(draft.id, revision=1),
    ):
        with pytest.raises(StaleDraftError) as refused:
            await late
        assert refused.value.revision == 2
    assert (await drafts.get(draft.id)).body == {"title": "B"}


async def test_of_edits_at_once_one_wins(engine: AsyncEngine) -> None:
    """Of eight edits of the same revision exactly one is taken."""
    drafts, draft = await begun(engine)
    edits = [drafts.edit(draft.id, revision=1, body={"n": n}, at=20) for n in range(8)]
    outcomes = await asyncio.gather(*edits, return_exceptions=True)
    won = [outcome for outcome in outcomes if isinstance(outcome, Draft)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, StaleDraftError)]
    assert (len(won), len(lost)) == (1, 7)
    assert await drafts.get(draft.id) == won[0]


async def test_submitting_is_noted(engine: AsyncEngine) -> None:
    """A submitted draft says when, and may be edited and submitted again."""
    drafts, draft = await begun(engine)
    submitted = await drafts.mark_submitted(draft.id, revision=1, at=30)
    assert (submitted.submitted_at, submitted.revision) == (30, 2)
    edited = await drafts.edit(draft.id, revision=2, body={"title": "B"}, at=40)
    assert edited.submitted_at == 30
    assert (await drafts.mark_submitted(draft.id, revision=3, at=50)).submitted_at == 50


async def test_a_creator_sees_their_own(engine: AsyncEngine) -> None:
    """The drafts of one creator are listed, the last touched first."""
    drafts, first = await begun(engine)
    second = await drafts.create(channel="main", creator="ada", body={}, at=11)
    await drafts.create(channel="main", creator="bo", body={}, at=12)
    assert [draft.id for draft in await drafts.of_creator("ada")] == [second.id, first.id]
    await drafts.edit(first.id, revision=1, body={}, at=20)
    assert [draft.id for draft in await drafts.of_creator("ada")] == [first.id, second.id]


async def test_a_deleted_draft_is_gone(engine: AsyncEngine) -> None:
    """Nothing is left to read, change or delete."""
    drafts, draft = await begun(engine)
    await drafts.delete(draft.id, revision=1)
    for late in (
        drafts.get(draft.id),
        drafts.edit(draft.id, revision=1, body={}, at=30),
        drafts.delete(draft.id, revision=1),
    ):
        with pytest.raises(UnknownDraftError):
            await late
