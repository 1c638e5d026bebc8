"""`audit replay`: the live views against the log, row by row."""

from __future__ import annotations

import pytest

from tests.audit.world import World


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
