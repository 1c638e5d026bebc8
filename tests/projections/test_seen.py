"""The filter of backers may only save questions: never change an answer."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from projections import new_pledges, seen
from projections.backer_ledger import pledge_by_id, pledges_of
from projections.pledges import BY_BACKER, CAMPAIGNS, PLEDGES, bits_of
from projections.seen import SeenBackers, bits_of_all
from tests.projections.history import History, part_of_the_examples, some_history
from tests.projections.views_of import everything, views_of

histories = st.integers(0, 2**32).map(lambda seed: some_history(Random(seed)))
some = part_of_the_examples(8)
SMALL = 2
"""Bits of a position within a segment: so a short history has many segments."""


def pairs(count: int, chance: Random) -> tuple[seen.Numbers, NDArray[np.int64]]:
    """Bits of backers, and keys of campaigns."""
    bits = np.array([chance.getrandbits(32) for _ in range(count)], np.uint64)
    return bits, np.array([chance.randrange(2**40) for _ in range(count)], np.int64)


def test_it_never_denies_what_was_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through several layers, it knows everything, and of others nearly nothing."""
    monkeypatch.setattr(seen, "LEAST", 64)
    chance, backers = Random(1), SeenBackers()
    added = [pairs(size, chance) for size in (1, 50, 700, 3_000)]
    for each in added:
        backers.add(*each)
    assert all(backers.may_know(*each).all() for each in added)
    assert backers.may_know(*pairs(20_000, chance)).mean() < 0.1


def test_another_campaign_is_another_pair() -> None:
    """A backer of one campaign is new to the next."""
    chance, backers = Random(2), SeenBackers()
    bits, campaigns = pairs(2_000, chance)
    backers.add(bits, campaigns)
    assert backers.may_know(bits, campaigns + 1).mean() < 0.1


def test_bits_of_many_are_those_of_each() -> None:
    """Both ways to the first 32 bits agree."""
    chance = Random(3)
    ids = [f"{chance.getrandbits(32):08x}-0000-4000-8000-000000000000" for _ in range(50)]
    assert bits_of_all(ids).tolist() == [bits_of(each) for each in ids]


def asked_always(_: SeenBackers, bits: seen.Numbers, __: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A filter that knows nothing for certain."""
    return np.ones(len(bits), np.bool_)


@some
@given(histories, st.integers(1, 60))
def test_without_it_the_rows_are_the_same(history: History, batch: int) -> None:
    """Asking for every single backer gives the rows that the filter gives."""
    filtered = everything(history.log, batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SeenBackers, "may_know", asked_always)
        assert everything(history.log, batch) == filtered


@some
@given(histories, st.integers(1, 60))
def test_many_segments_change_nothing_else(history: History, batch: int) -> None:
    """Where the look-ups lie in many segments, all other rows are the same."""
    one = everything(history.log, batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(new_pledges, "SEGMENT_BITS", SMALL)
        many = everything(history.log, batch)
    for name, rows in many.items():
        if name.startswith("pledges_by"):
            assert sorted(row[1:] for row in rows) == sorted(row[1:] for row in one[name])
            assert {row[0] for row in rows} <= set(range((len(history.log.rows) >> SMALL) + 1))
        else:
            assert rows == one[name]


async def test_each_pledge_is_found_by_its_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own id and by its backer's, in whichever segment it was made."""
    monkeypatch.setattr(new_pledges, "SEGMENT_BITS", SMALL)
    with views_of(some_history(Random(1), steps=600).log) as file:
        async with file.reader.connect() as conn:
            joined = PLEDGES.table.join(
                CAMPAIGNS.table, CAMPAIGNS.table.c.key == PLEDGES.table.c.campaign
            )
            columns = (*PLEDGES.table.c, CAMPAIGNS.table.c.campaign_id)
            made = (await conn.execute(joined.select().with_only_columns(*columns))).all()
            segments = (await conn.execute(BY_BACKER.select())).all()
            assert len({row.segment for row in segments}) > 3
            assert len(made) > 10
            for row in made:
                found = await pledge_by_id(conn, row.campaign_id, row.pledge_id)
                assert found is not None
                assert found.no == row.no
                theirs = {
                    (each.campaign_id, each.no) for each in await pledges_of(conn, row.backer)
                }
                assert theirs == {
                    (each.campaign_id, each.no) for each in made if each.backer == row.backer
                }
        await file.close()
