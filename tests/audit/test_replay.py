"""`audit replay`: the live views against the log, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.audit import replay_shares
from app.audit.differences import tables_of
from app.audit.live_views import copy_views
from app.audit.progress import unseen
from app.audit.replay import replay
from domain import ledger
from domain.events import Event, PledgeCollected
from domain.terms import Reward
from projections import journal
from projections.runner import CHECKPOINTS
from tests.audit.world import World, new_id


@pytest.fixture
def campaign_id(world: World) -> str:
    """A campaign that was charged, paid out and refunded in part, in the views."""
    campaign_id = world.succeed(5_000, 6_000)
    world.pay_out(campaign_id)
    world.refund(campaign_id, 1, 1_000)
    world.project()
    return campaign_id


def test_untouched_views_are_identical(world: World, campaign_id: str) -> None:
    """However the log was cut into batches, the views made anew are the same."""
    result = world.audit("replay")
    assert result.exit_code == 0
    assert "identical" in result.stdout
    events, _ = world.log.last()
    assert world.audit_json("replay") == {"events": events, "identical": True, "differences": []}


def test_a_changed_cell_is_found(world: World, campaign_id: str) -> None:
    """A changed cell is told with its table, key, column and both values."""
    world.tamper_with_views("UPDATE campaign_pages SET held_minor = held_minor + 1")
    result = world.audit("replay")
    assert result.exit_code == 1
    (difference,) = world.audit_json("replay")["differences"]
    assert (difference["kind"], difference["table"]) == ("different", "campaign_pages")
    assert (difference["column"], difference["live"]) == ("held_minor", difference["replayed"] + 1)
    assert difference["key"] == {"campaign": world.position("campaign.submitted.v1")}
    assert "campaign_pages campaign=1 held_minor: live" in result.stdout


def test_many_differences_are_cut_and_counted(world: World) -> None:
    """A hundred differences of a table are listed, so that those of others are seen; all count."""
    campaign_id = world.launch()
    world.pledge_many(campaign_id, 150)
    world.project(batch=100)
    world.tamper_with_views(
        "UPDATE pledges SET amount_minor = amount_minor + 1",
        "UPDATE campaign_pages SET pledged_minor = pledged_minor + 150",
    )
    found = world.audit_json("replay")
    assert len(found["differences"]) == 101
    assert found["by_table"] == {"campaign_pages": 1, "pledges": 150}
    assert found["count"] == 151
    assert "pledges: 150 differences" in world.audit("replay").stdout


def test_a_deleted_row_is_found(world: World, campaign_id: str) -> None:
    """A row that the log gives and the live views lack is missing."""
    world.tamper_with_views("DELETE FROM pledges WHERE no = 2")
    (difference,) = world.audit_json("replay")["differences"]
    assert (difference["kind"], difference["table"]) == ("missing", "pledges")


def test_an_invented_row_is_found(world: World, campaign_id: str) -> None:
    """A row that only the live views have is extra."""
    world.tamper_with_views(
        "INSERT INTO ledger_lines SELECT pledge, position + 1000, line, at, kind, amount_minor"
        " FROM ledger_lines LIMIT 1"
    )
    (difference,) = world.audit_json("replay")["differences"]
    assert (difference["kind"], difference["table"]) == ("extra", "ledger_lines")


def test_tables_are_compared_too(world: World, campaign_id: str) -> None:
    """A table too many or too few is a difference."""
    world.tamper_with_views("ALTER TABLE desk_deeds RENAME TO something_else")
    found = world.audit_json("replay")["differences"]
    assert {(each["kind"], each["table"]) for each in found} == {
        ("missing", "desk_deeds"),
        ("extra", "something_else"),
    }


def test_a_changed_event_shows_in_the_views(world: World, campaign_id: str) -> None:
    """What was changed in the log after it was shown is found by what was shown."""
    place = world.position("campaign.launched.v1")
    world.rewrite(place, '"goal_minor":10000', '"goal_minor":20000')
    (difference,) = world.audit_json("replay")["differences"]
    assert (difference["column"], difference["live"]) == ("goal_minor", 10_000)
    assert difference["replayed"] == 20_000


def test_views_are_compared_where_they_stand(world: World, campaign_id: str) -> None:
    """Views behind the log are compared as of their own position."""
    stood, _ = world.log.last()
    world.launch()
    assert world.audit_json("replay") == {"events": stood, "identical": True, "differences": []}


def test_views_beyond_the_log_differ(world: World, campaign_id: str) -> None:
    """Views that have read more than the log holds are told by their checkpoints."""
    world.tamper("DELETE FROM events WHERE position = ?", world.log.last()[0])
    found = world.audit_json("replay")
    assert not found["identical"]
    assert "checkpoints" in {difference["table"] for difference in found["differences"]}


def test_what_cannot_be_replayed_is_said(world: World, campaign_id: str) -> None:
    """A hole in the log, an unknown event and missing views end the run with a sentence."""
    place = world.position("pledge.made.v1")
    world.tamper("UPDATE events SET tag = 'pledge.made.v9' WHERE position = ?", place)
    result = world.audit("replay")
    assert result.exit_code == 2
    assert f"position {place}: unknown event" in result.stderr
    world.tamper("DELETE FROM events WHERE position = ?", place)
    result = world.audit("replay")
    assert result.exit_code == 2
    assert f"the log goes on at {place + 1}" in result.stderr
    world.settings.views_path.unlink()
    result = world.audit("replay")
    assert result.exit_code == 2
    assert "There is no" in result.stderr


def test_views_of_another_version_are_said(world: World, campaign_id: str) -> None:
    """Views of another shape are not compared cell by cell."""
    world.tamper_with_views("UPDATE checkpoints SET version = version + 1")
    result = world.audit("replay")
    assert result.exit_code == 2
    assert "another version" in result.stderr


def test_a_number_agrees_with_its_page(world: World, campaign_id: str) -> None:
    """`explain` compares its total with what the page shows, and says where they differ."""
    agreed = world.audit("explain", campaign_id, "held")
    assert agreed.exit_code == 0
    assert "the same" in agreed.stdout
    world.refund(campaign_id, 2, 500)  # not in the views yet
    page = world.audit_json("explain", campaign_id, "returned")["page"]
    assert (page["shown_minor"], page["agrees"]) == (1_000, True)
    world.tamper_with_views("UPDATE campaign_pages SET returned_minor = 999")
    differs = world.audit("explain", campaign_id, "returned")
    assert differs.exit_code == 1
    assert "NOT what the events say" in differs.stdout


def test_a_contradiction_is_found(world: World, campaign_id: str) -> None:
    """An event that contradicts those before it is a finding at its place, not an accident."""
    place = world.position("pledge.collected.v1", 2)
    world.rewrite(place, '"no":2', '"no":7')
    result = world.audit("replay")
    assert result.exit_code == 1
    assert f"replay position {place} campaign:{campaign_id}: No views can follow" in result.stdout
    found = world.audit_json("replay")
    assert (found["identical"], found["events"]) == (False, place - 1)
    assert [each["position"] for each in found["contradictions"]] == [place]


def test_books_that_do_not_balance_are_found(
    world: World, campaign_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is an entry that does not sum to zero."""
    place = world.position("pledge.collected.v1", 2)

    def short(event: Event) -> tuple[ledger.Posting, ...]:
        lines = ledger.postings(event)
        return lines[1:] if isinstance(event, PledgeCollected) and event.no == 2 else lines

    monkeypatch.setattr(journal, "postings", short)
    (found,) = world.audit_json("replay")["contradictions"]
    assert found["position"] == place
    assert "not to 0" in found["sentence"]


# --- In shares -----------------------------------------------------------------------------------


class Here:
    """Does in this process what others would do."""

    def run(self, work: Any, tasks: Any, _progress: object, _total: int) -> list[Any]:  # noqa: ANN401
        """Do every task."""
        return [work(task, lambda _: None) for task in tasks]


class Shares:
    """The views of a log made in shares, beside the live ones."""

    def __init__(self, world: World, folder: Path, of: int = 3) -> None:
        self.live = folder / "live.db"
        copy_views(world.settings.views_path, self.live)
        until, _ = world.log.last()
        shares = [
            replay_shares.ViewShare(world.log_place, until, number, of, folder)
            for number in range(of)
        ]
        assert sum(replay_shares.fold(share, lambda _: None) for share in shares) == until
        self.paths = [share.path for share in shares]

    def are_the_same(self) -> bool:
        """Whether the live views are found to be what the shares have."""
        return replay_shares.same_rows(self.live, self.paths, Here())  # type: ignore[arg-type]


@pytest.fixture
def shares(world_in_files: World, tmp_path: Path) -> Shares:
    """Four campaigns, the last of them with a bit of everything, in three shares."""
    world = world_in_files
    reward = Reward(reward_id=new_id(), price_minor=1_000, limit=3)
    world.pledge(world.launch(reward=reward), 1_000, reward.reward_id)
    for _ in range(2):
        campaign_id = world.succeed(5_000, 6_000)
        world.pay_out(campaign_id)
        world.refund(campaign_id, 1, 1_000)
    world.succeed(7_000, 8_000)
    world.project()
    (tmp_path / "shares").mkdir()
    return Shares(world, tmp_path / "shares")


def test_shares_give_the_same_views(shares: Shares) -> None:
    """Accounts that campaigns share, and all else, are put together as the whole log has them."""
    assert shares.are_the_same()


def tamperings(live: Path) -> Iterator[str]:
    """Statements that change one cell, or take one row, of each table that has any."""
    with closing(sqlite3.connect(live)) as views:
        for name, table in tables_of(views).items():
            kinds = dict(views.execute("SELECT name, type FROM pragma_table_info(?)", (name,)))
            key = ", ".join(f'"{each}"' for each in table.key)
            last = f'WHERE ({key}) = (SELECT {key} FROM "{name}" ORDER BY {key} DESC LIMIT 1)'  # noqa: S608 - from the schema
            if name == CHECKPOINTS.name or not views.execute(f'SELECT 1 FROM "{name}"').fetchone():  # noqa: S608 - the same
                continue
            for column in table.columns:
                more = "+ 123457" if kinds[column] == "INTEGER" else "|| 1"
                changed = f'"{column}" = coalesce("{column}", 0) {more}'
                yield f'UPDATE "{name}" SET {changed} {last}'  # noqa: S608 - the same
            yield f'DELETE FROM "{name}" {last}'  # noqa: S608 - the same


def test_shares_see_every_cell(shares: Shares, tmp_path: Path) -> None:
    """No cell of any table can change, and no row be lost, without being seen."""
    untouched = shares.live.read_bytes()
    statements = list(tamperings(shares.live))
    for statement in statements:
        shares.live.write_bytes(untouched)
        with closing(sqlite3.connect(shares.live)) as live, live:
            assert live.execute(statement).rowcount == 1
        assert not shares.are_the_same(), statement
    assert len(statements) > 100
    shares.live.write_bytes(untouched)
    assert shares.are_the_same()


@pytest.mark.parametrize(
    "statement",
    [
        """INSERT INTO ledger_lines SELECT pledge, position + 1000, line, at, kind, amount_minor
            FROM ledger_lines LIMIT 1""",
        """INSERT INTO journal_accounts SELECT name || 1, currency, number + 123457, campaign, 0
            FROM journal_accounts LIMIT 1""",
        "ALTER TABLE desk_deeds RENAME TO something_else",
        "ALTER TABLE desk_deeds ADD COLUMN more INTEGER",
    ],
)
def test_shares_see_what_is_too_much(shares: Shares, statement: str) -> None:
    """A row too many, and a table or column of another name."""
    with closing(sqlite3.connect(shares.live)) as live, live:
        live.execute(statement)
    assert not shares.are_the_same()


def test_a_row_of_two_shares_counts_once(shares: Shares) -> None:
    """What a later share has as well is left to that one."""
    own = shares.paths[2]  # which has the first entry of the journal
    alone = replay_shares.Beside(own, [], shares.live, {})
    doubled = replay_shares.Beside(own, [own], shares.live, {})
    assert replay_shares.matched(alone, lambda _: None)
    assert replay_shares.matched(doubled, lambda _: None) == 0


def test_shares_that_cannot_be_followed_are_none(world_in_files: World, tmp_path: Path) -> None:
    """What contradicts itself is left to the whole log, which names it."""
    world = world_in_files
    world.succeed(5_000, 6_000)
    world.rewrite(world.position("pledge.collected.v1", 2), '"no":2', '"no":7')
    share = replay_shares.ViewShare(world.log_place, world.log.last()[0], 0, 1, tmp_path)
    assert replay_shares.fold(share, lambda _: None) < 0


def test_processes_replay_the_same(world_in_files: World) -> None:
    """In several processes the answer is the one that a single process gives."""
    world = world_in_files
    for _ in range(3):
        world.pay_out(world.succeed(5_000, 6_000))
    world.project()
    paths = world.log_place, world.settings.views_path
    until, _ = world.log.last()
    folder = world.settings.data_dir / "copy"
    folder.mkdir()
    copy_views(world.settings.views_path, folder / "live.db")
    place = (world.log_place, folder / "live.db", until, 2, folder)
    assert replay_shares.identical(*place, unseen)
    world.tamper_with_views("UPDATE campaign_pages SET held_minor = held_minor + 1")
    alone, _ = replay(*paths, workers=1)
    shared, _ = replay(*paths, workers=2)
    assert len(alone.differences) == 3
    assert shared == alone
