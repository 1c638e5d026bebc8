"""Views depend on the log alone: not on batches, and not on where the follower was cut off."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import EVENT_TYPES
from projections import pledge_book
from projections.journal import JournalFold
from projections.runner import Follower
from projections.views import ViewsFile
from tests.projections.history import History, part_of_the_examples, some_history
from tests.projections.views_of import everything, rows_of, views_of

histories = st.integers(0, 2**32).map(lambda seed: some_history(Random(seed)))

MANY: Final = 150
"""Events above which a history is not also read one by one: a transaction each."""

some = part_of_the_examples(8)


def test_histories_hold_every_kind_of_fact() -> None:
    """What the properties of the views are tried on leaves nothing out."""
    seen = {row.tag for seed in range(80) for row in some_history(Random(seed), steps=400).log.rows}
    assert set(EVENT_TYPES) - seen == set()


@some
@given(histories, st.integers(2, 60))
def test_any_batch_size_gives_the_same_rows(history: History, size: int) -> None:
    """One by one, by sevens, by any number, or all at once: row for row the same."""
    at_once = everything(history.log, 1_000_000)
    for batch in (1, 7, size) if len(history.log.rows) < MANY else (7, size):
        assert everything(history.log, batch) == at_once


@some
@given(histories)
def test_small_chunks_give_the_same_rows(history: History) -> None:
    """Facts about many pledges give the same rows where few fit into memory at a time."""
    with pytest.MonkeyPatch.context() as patch:
        at_once = everything(history.log, 50)
        patch.setattr(pledge_book, "CHUNK", 2)
        patch.setattr(pledge_book, "MOST_IN_MEMORY", 3)
        assert everything(history.log, 50) == at_once


class PowerCutError(Exception):
    """The process ends here."""


@some
@given(histories, st.integers(1, 40), st.integers(0, 3))
def test_a_follower_goes_on_where_it_was_cut_off(history: History, batch: int, cuts: int) -> None:
    """A batch that was cut off leaves nothing; a new follower gives the same rows."""
    chance, write = Random(batch), JournalFold.write

    def cut_off(fold: JournalFold) -> None:
        write(fold)
        if chance.random() < cuts / 4:
            raise PowerCutError

    with views_of(history.log) as expected, views_of(type(history.log)()) as file:
        done = False
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(JournalFold, "write", cut_off)
            while not done:
                before = rows_of(file)
                follower = Follower(history.log.read, file, log_id=history.log.log_id)
                try:
                    done = not follower.step(batch)
                except PowerCutError:
                    assert rows_of(file) == before
        assert rows_of(file) == rows_of(expected)


def test_a_follower_starts_from_its_checkpoint(tmp_path: Path) -> None:
    """What was read is not read again, whoever follows."""
    log = some_history(Random(3)).log
    file = ViewsFile(tmp_path / "views.db")
    first = Follower(log.read, file, log_id=log.log_id)
    assert first.step(5) == 5
    second = Follower(log.read, file, log_id=log.log_id)
    assert second.position == 5
    assert second.catch_up(until=9) == 4
    assert second.catch_up() == len(log.rows) - 9
    assert rows_of(file) == everything(log, 1_000)
    file.close_sync()
