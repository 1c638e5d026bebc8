"""`audit verify`: what is damaged is found and named, what is well is called well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from app.audit import order, reader, share, verification
from app.audit.findings import Findings
from app.audit.gathered import numbers_of
from app.audit.reader import CannotAudit
from app.audit.verify import verify
from domain import commands as c
from domain import ledger
from domain.terms import DAY_MS, Reward
from tests.audit.world import World, new_id


def rules_found(world: World) -> dict[str, list[int]]:
    """The positions of what verify finds, by rule."""
    found: dict[str, list[int]] = {}
    for violation in world.audit_json("verify")["violations"]:
        found.setdefault(violation["rule"], []).append(violation["position"])
    return found


def clean(world: World) -> dict[str, Any]:
    """What verify says of a log without a transparency log."""
    found = world.audit_json("verify")
    (left_out,) = found.pop("left_out")
    assert left_out.startswith("The transparency log was not looked at: ")
    return found


def test_a_whole_life_is_clean(world: World) -> None:
    """A campaign that was charged, refunded in part and paid out breaks no rule."""
    campaign_id = world.succeed(5_000, 6_000)
    world.refund(campaign_id, 1, 1_000)
    world.pay_out(campaign_id)
    result = world.audit("verify")
    assert result.exit_code == 0
    assert "No rule is broken." in result.stdout
    events, _ = world.log.last()
    assert clean(world) == {"events": events, "ok": True, "violations": []}


def test_an_empty_log_is_clean(world: World) -> None:
    """A log without events has nothing wrong."""
    assert clean(world) == {"events": 0, "ok": True, "violations": []}


def test_a_changed_amount_is_found(world: World) -> None:
    """A pledge whose stored amount was changed no longer agrees with what was charged."""
    world.succeed(5_000, 6_000)
    place = world.position("pledge.made.v1", 2)
    world.rewrite(place, '"amount_minor":6000', '"amount_minor":6001')
    result = world.audit("verify")
    assert result.exit_code == 1
    assert "Something is wrong." in result.stdout
    assert world.position("pledge.collected.v1", 2) in rules_found(world)["rule 5"]


def test_a_deleted_event_is_found(world: World) -> None:
    """A gap in the positions and in the stream's versions is named where it ends."""
    world.succeed(5_000, 6_000)
    place = world.position("pledge.made.v1")
    world.tamper("DELETE FROM events WHERE position = ?", place)
    found = rules_found(world)
    assert found["positions"] == [place + 1]
    assert place + 1 in found["versions"]


@pytest.mark.parametrize(
    ("column", "value"), [("at", 1), ("version", 99), ("stream", 77), ("tag", "'hold.lapsed.v1'")]
)
def test_a_changed_column_is_found(world: World, column: str, value: object) -> None:
    """A column that no longer says what the body says is named, and the body is believed."""
    world.succeed(5_000, 6_000)
    place = world.position("pledge.made.v1")
    world.tamper(f"UPDATE events SET {column} = {value} WHERE position = ?", place)  # noqa: S608
    violations = world.audit_json("verify")["violations"]
    (found,) = (each for each in violations if each["rule"] == "columns")
    assert found["position"] == place
    assert column in found["sentence"]
    # Times and keys are checked by their columns.
    assert {each["rule"] for each in violations} <= {"columns", "rule 10", "keys"}


def test_other_bytes_are_found(world: World) -> None:
    """A body that says the same in other bytes is not what was recorded."""
    world.succeed(5_000, 6_000)
    place = world.position("pledge.made.v1")
    world.set_body(place, world.body(place) + b" ")
    assert rules_found(world) == {"bytes": [place]}


def test_a_damaged_body_is_found(world: World) -> None:
    """A body that cannot be read is named; the other campaigns are still checked."""
    world.succeed(5_000, 6_000)
    world.succeed(7_000, 8_000)
    place = world.position("pledge.made.v1")
    world.set_body(place, world.body(place)[:40])
    other = world.position("pledge.made.v1", 4)
    world.set_body(other, world.body(other) + b" ")
    assert rules_found(world)["bytes"] == [place, other]


def test_an_unknown_event_stops(world: World) -> None:
    """A fact that this code does not know ends the run with its place; nothing is skipped."""
    world.succeed(5_000, 6_000)
    place = world.position("pledge.made.v1")
    world.rewrite(place, "pledge.made.v1", "pledge.made.v9")
    world.tamper("UPDATE events SET tag = 'pledge.made.v9' WHERE position = ?", place)
    result = world.audit("verify")
    assert result.exit_code == 2
    assert f"position {place}," in result.stderr
    assert "pledge.made.v9" in result.stderr


def test_time_that_runs_back_is_found(world: World) -> None:
    """The log's one clock never turns back, not even from one campaign to another."""
    first, second = world.launch(), world.launch()
    world.now += DAY_MS
    world.pledge(first, 5_000)
    place = world.position("pledge.made.v1")
    world.set_time(place, world.now + 1_000)
    world.pledge(second, 6_000)
    assert rules_found(world) == {}
    world.set_time(place + 1, world.now - 1_000)
    assert rules_found(world) == {"rule 10": [place + 1]}


def test_a_pledge_id_used_twice_is_found(world: World) -> None:
    """One pledge id in two campaigns breaks rule 4."""
    first, second = new_id(), new_id()
    world.pledge(world.launch(), 5_000, pledge_id=first)
    world.pledge(world.launch(), 5_000, pledge_id=second)
    assert rules_found(world) == {}
    place, _ = world.log.last()
    world.rewrite(place, second, first)
    assert rules_found(world) == {"rule 4": [place]}


def test_an_oversold_reward_is_found(world: World) -> None:
    """A limit lowered in the log below what backers chose breaks rule 3."""
    reward = Reward(reward_id=new_id(), price_minor=1_000, limit=2)
    campaign_id = world.launch(reward=reward)
    for _ in range(2):
        world.pledge(campaign_id, 1_000, reward.reward_id)
    assert rules_found(world) == {}
    place = world.position("campaign.submitted.v1")
    world.rewrite(place, '"limit":2', '"limit":1')
    assert world.position("pledge.made.v1", 2) in rules_found(world)["rule 3"]


def test_books_that_do_not_balance_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry with a leg missing leaves a journal that does not sum to zero."""
    world.succeed(5_000, 6_000)
    monkeypatch.setattr(verification, "lines", lambda event: ledger.lines(event)[:-1])
    found = world.audit_json("verify")["violations"]
    assert "The journal in BRL sums to" in found[0]["sentence"]
    assert found[0]["rule"] == "rule 7"


def test_a_key_that_leads_nowhere_is_found(world: World) -> None:
    """An idempotency key has to lead to events of its stream."""
    campaign_id = world.launch()
    command = c.CancelCampaign(
        campaign_id=campaign_id, by=f"staff:{new_id()}", command_id=new_id(), cause="creator_wish"
    )
    world.engine.submit(command, key="a key")
    assert rules_found(world) == {}
    world.tamper("UPDATE keys SET version = version + 1")
    found = world.audit_json("verify")["violations"]
    assert [each["rule"] for each in found] == ["keys"]
    assert found[0]["stream"] == f"campaign:{campaign_id}"


def test_many_violations_are_cut_and_counted(world: World) -> None:
    """A thousand violations are listed, the others are counted."""
    campaign_id = world.launch()
    world.pledge_many(campaign_id, 1_050)
    world.tamper("UPDATE events SET at = 1")
    found = world.audit_json("verify")
    assert len(found["violations"]) == 1_000
    assert found["count"] == world.log.last()[0]


def test_processes_find_the_same(world: World) -> None:
    """Cut into shares for several processes, the log gives the same findings."""
    first, second = new_id(), new_id()
    world.pledge(world.launch(), 5_000, pledge_id=first)
    world.pledge(world.launch(), 5_000, pledge_id=second)
    world.rewrite(world.log.last()[0], second, first)
    for _ in range(3):
        world.succeed(5_000, 6_000)
    third = world.position("pledge.made.v1", 3)
    world.rewrite(third, '"amount_minor":5000', '"amount_minor":5001')
    world.tamper("DELETE FROM events WHERE position = ?", world.position("pledge.made.v1", 5))
    paths = (world.log_place, world.settings.test_bank_path)
    alone, _ = verify(*paths, workers=1)
    shared, _ = verify(*paths, workers=3)
    assert {found.rule for found in alone.violations} > {"rule 4", "rule 5", "positions"}
    assert shared == alone


def test_an_unknown_event_stops_every_process(world: World) -> None:
    """What one process cannot read ends the run of all, with the place."""
    for _ in range(3):
        world.succeed(5_000, 6_000)
    place = world.position("pledge.made.v1", 3)
    world.rewrite(place, "pledge.made.v1", "pledge.made.v9")
    world.tamper("UPDATE events SET tag = 'pledge.made.v9' WHERE position = ?", place)
    with pytest.raises(CannotAudit, match=f"position {place}, .*pledge.made.v9"):
        verify(world.log_place, world.settings.test_bank_path, workers=2)


def test_no_log_is_said(world_in_files: World) -> None:
    """Where there is no log, that is the answer, and none is made."""
    world = world_in_files
    world.close()
    world.settings.log_path.unlink()
    result = world.audit("verify")
    assert result.exit_code == 2
    assert "There is no" in result.stderr
    assert not world.settings.log_path.exists()


def test_another_file_is_no_log(world_in_files: World) -> None:
    """A file that is no log is said to be none."""
    world = world_in_files
    world.close()
    world.settings.log_path.write_text("nothing of the kind")
    result = world.audit("verify")
    assert result.exit_code == 2
    assert "is not an event log" in result.stderr


def test_another_database_is_no_log(world: World, empty_postgres_url: str) -> None:
    """A database without a log is said to have none; the password is not told."""
    url = empty_postgres_url.replace("postgres@", "postgres:hidden@")
    with pytest.raises(CannotAudit, match="holds no event log") as said:
        verify(url, world.settings.test_bank_path)
    assert "hidden" not in str(said.value)
    with pytest.raises(CannotAudit, match="cannot be read") as said:
        verify(f"{url}-that-is-not-there", world.settings.test_bank_path)
    assert "hidden" not in str(said.value)


def test_workers_are_counted(world_in_files: World) -> None:
    """`--workers` takes a number from 1."""
    world_in_files.succeed(5_000, 6_000)
    assert world_in_files.audit("verify", "--workers", "1").exit_code == 0
    assert world_in_files.audit("verify", "--workers", "0").exit_code == 2


# --- In shares -----------------------------------------------------------------------------------


def _change_amount(world: World) -> None:
    world.rewrite(world.position("pledge.made.v1", 3), '"amount_minor":5000', '"amount_minor":5001')


def _delete(world: World) -> None:
    world.tamper("DELETE FROM events WHERE position = ?", world.position("pledge.made.v1", 5))


def _misplace(world: World) -> None:
    """Another campaign's number in the column; the body says what it said."""
    for tag in ("pledge.made.v1", "pledge.collected.v1"):
        world.tamper(
            "UPDATE events SET version = version + 50, stream = 1 + stream % 4 WHERE position = ?",
            world.position(tag, 4),
        )


def _no_stream(world: World) -> None:
    place = world.position("pledge.made.v1", 2)
    world.tamper("UPDATE events SET stream = 77 WHERE position = ?", place)


def _damage(world: World) -> None:
    for nth in (2, 3):
        place = world.position("pledge.made.v1", nth)
        world.set_body(place, world.body(place)[: 40 * nth])


def _turn_back(world: World) -> None:
    for nth in (2, 5):
        world.set_time(world.position("pledge.made.v1", nth), 5_000 * nth)


def _repeat_id(world: World) -> None:
    places = [world.position("pledge.made.v1", nth) for nth in (1, 4, 7)]
    ids = [msgspec.json.decode(world.body(place))["pledge_id"] for place in places]
    world.rewrite(places[1], ids[1], ids[0])
    world.rewrite(places[2], ids[2], ids[0])


def _spoil_ids(world: World) -> None:
    """Two pledges of one name that is no id."""
    for nth in (3, 6):
        place = world.position("pledge.made.v1", nth)
        pledge_id = msgspec.json.decode(world.body(place))["pledge_id"]
        world.rewrite(place, pledge_id, "Maria")


def _spoil_everything(world: World) -> None:
    world.tamper("UPDATE events SET at = 1")


@pytest.mark.parametrize(
    ("tamper", "rules"),
    [
        (_change_amount, {"rule 5"}),
        (_delete, {"positions", "versions"}),
        (_misplace, {"columns"}),
        (_no_stream, {"columns"}),
        (_damage, {"bytes"}),
        (_turn_back, {"rule 10"}),
        (_repeat_id, {"rule 4"}),
        (_spoil_ids, {"rule 4", "rule 12"}),
        (_spoil_everything, {"columns"}),
    ],
)
def test_shares_find_the_same(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    tamper: Callable[[World], None],
    rules: set[str],
) -> None:
    """However the log is cut, the findings and their order are the same, each to the letter."""
    for _ in range(4):
        world.succeed(5_000, 6_000)
    tamper(world)
    paths = (world.log_place, world.settings.test_bank_path)
    whole, _ = verify(*paths, workers=1)
    assert {found.rule for found in whole.violations} >= rules
    for share_events in (30, 3):
        monkeypatch.setattr(share, "SHARE_EVENTS", share_events)
        shared, _ = verify(*paths, workers=1)
        assert shared == whole


def test_the_first_thousand_are_listed_whoever_found_them() -> None:
    """Of what two shares found the first are kept, and all are counted."""
    one, other = Findings(), Findings()
    for position in range(1, 1_501):
        (other if position % 2 else one).add("rule 5", "It is wrong.", position)
    one.add("rule 7", "All of it is wrong.", None, "a stream")
    merged = Findings()
    merged.take(one)
    merged.take(other)
    assert [found.position for found in merged.listed] == [None, *range(1, 1_000)]
    assert merged.unlisted == 1_501


def test_pages_and_windows_find_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does it matter how much is looked at together."""
    for _ in range(4):
        world.succeed(5_000, 6_000)
    _repeat_id(world)
    _turn_back(world)
    _delete(world)
    paths = (world.log_place, world.settings.test_bank_path)
    whole, _ = verify(*paths, workers=1)
    monkeypatch.setattr(order, "AT_ONCE", 2)
    monkeypatch.setattr(reader, "PAGE_ROWS", 3)
    assert verify(*paths, workers=1)[0] == whole


def test_ids_have_numbers_of_their_own() -> None:
    """An id's number is the same beside any others, and what differs a little has another."""
    ids = [new_id() for _ in range(50)]
    alone = [int(numbers_of([each])[0]) for each in ids]
    assert numbers_of(ids).tolist() == alone
    assert numbers_of([*ids, "Maria"]).tolist()[:50] == alone
    assert len(set(alone)) == len(ids)
    assert len(set(numbers_of(["Maria", "maria", "Mari", "", "a" * 36, "a-" * 18]).tolist())) == 6
