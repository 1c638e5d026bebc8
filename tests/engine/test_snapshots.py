"""Snapshots: a state and the tail after it is the state of all events."""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from typing import Any

import msgspec
import psycopg
import pytest

from app.engine import CampaignDecider, Engine, SnapshotFollower, load_state
from app.engine.states import anchor_of
from domain.commands import (
    ApproveCampaign,
    LaunchCampaign,
    MakePledge,
    PlaceHold,
    SubmitCampaign,
    WithdrawPledge,
)
from domain.state import Pledge
from domain.terms import Choice, Reward, Submission, Terms
from tests.engine.tally import Bench, Tally, TallyDecider, count, only_outcomes, stream

A = stream("a")


def counted(bench: Bench, events: int) -> None:
    """Count on stream a, so many events."""
    with bench.engine() as engine:
        only_outcomes(engine.submit_many([count("a", name=str(n)) for n in range(events)]))


def snapshot(bench: Bench, decider: TallyDecider | None = None) -> int:
    """Take the snapshots that are due; from two events on."""
    follower = SnapshotFollower(bench.log, bench.snapshots, decider or TallyDecider(), least_tail=2)
    return follower.take_due_snapshots()


def loaded(bench: Bench, decider: TallyDecider) -> Tally:
    """The state of stream a through the snapshots."""
    return load_state(bench.log, bench.snapshots, decider, A)


def replayed(bench: Bench) -> Tally:
    """The state of stream a from all its events."""
    return load_state(bench.log, None, TallyDecider(), A)


def test_a_snapshot_and_its_tail_are_all_events(bench: Bench) -> None:
    """And only the tail is evolved."""
    counted(bench, 50)
    assert snapshot(bench) == 1
    with bench.engine() as engine:
        engine.submit_many([count("a"), count("a")])
    decider = TallyDecider()
    assert loaded(bench, decider) == replayed(bench)
    assert decider.evolved == 2


def test_an_engine_starts_from_a_snapshot(bench: Bench) -> None:
    """What the rules remember of before it still counts."""
    counted(bench, 50)
    snapshot(bench)
    decider = TallyDecider()
    with bench.engine(decider) as engine:
        assert engine.submit(count("a", name="7")).position == 8
        assert decider.evolved == 0
        assert engine.submit(count("a")).events[0].version == 51


def test_a_snapshot_is_due_at_a_quarter_of_the_state(bench: Bench) -> None:
    """Not before, and measured from the last one."""
    follower = SnapshotFollower(bench.log, bench.snapshots, TallyDecider(), least_tail=4)
    taken = []
    with bench.engine() as engine:
        for _ in range(60):
            engine.submit(count("a"))
            if follower.take_due_snapshots():
                taken.append(bench.versions("a")[-1])
        assert follower.take_due_snapshots() == 0
    assert taken == [4, 8, 12, 16, 20, 25, 31, 38, 47, 58]
    assert (
        SnapshotFollower(
            bench.log, bench.snapshots, TallyDecider(), least_tail=4
        ).take_due_snapshots()
        == 0
    )


def test_the_follower_leaves_other_aggregates_alone(bench: Bench) -> None:
    """A decider reads the streams of its prefix only."""
    counted(bench, 10)
    decider = TallyDecider()
    decider.prefix = "channel:"
    assert snapshot(bench, decider) == 0


def test_the_follower_goes_on_past_a_stream_it_cannot_read(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """One unknown event does not keep all other campaigns without snapshots."""
    counted(bench, 10)
    with bench.log.turn() as turn:
        turn.append([(11, turn.stream_number(A), 11, turn.at, "from.the.future.v9", b"{}")])
    with bench.engine() as engine:
        only_outcomes(engine.submit_many([count("b"), count("b")]))
    assert snapshot(bench) == 1
    assert bench.snapshots.head(stream("b"), 1) is not None
    assert "from.the.future.v9" in caplog.text


def test_another_schema_is_another_snapshot(bench: Bench) -> None:
    """After an upgrade the old state is not read; the next snapshot replaces it."""
    counted(bench, 10)
    snapshot(bench)
    newer = TallyDecider(schema=2)
    assert loaded(bench, newer) == replayed(bench)
    assert newer.evolved == 10
    assert snapshot(bench, newer) == 1
    again = TallyDecider(schema=2)
    assert loaded(bench, again) == replayed(bench)
    assert again.evolved == 0


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE snapshots SET body = CAST('other' AS {bytes}) WHERE chunk = 1",
        "DELETE FROM snapshots WHERE chunk = 1",
        "DELETE FROM snapshots WHERE chunk = 0",
        "UPDATE snapshots SET anchor = CAST('other' AS {bytes})",
        "UPDATE snapshots SET version = 11",
        "UPDATE snapshots SET version = 9",
    ],
)
def test_a_damaged_snapshot_is_done_without(
    bench: Bench, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All is replayed, and the log of the program says so."""
    counted(bench, 10)
    snapshot(bench)
    if bench.database_url:
        with psycopg.connect(bench.database_url, options="-c search_path=snapshots") as server:
            server.execute(damage.format(bytes="bytea"))
    else:
        connection = sqlite3.connect(bench.directory / "snapshots.db", isolation_level=None)
        connection.execute(damage.format(bytes="blob"))
        connection.close()
    decider = TallyDecider()
    with caplog.at_level(logging.WARNING):
        assert loaded(bench, decider) == replayed(bench)
    assert decider.evolved == 10
    told = [record for record in caplog.records if "all is replayed" in record.message]
    # Without its first chunk there is no snapshot at all.
    assert len(told) == (0 if "chunk = 0" in damage else 1)


def test_sound_bytes_that_are_no_state_are_done_without(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """A decider that cannot load its own bytes is a warning, not an outage."""
    counted(bench, 10)
    bench.snapshots.save(A, 1, 10, anchor_of(bench.log, A, 10), 10, [b"{}"])
    assert loaded(bench, TallyDecider()) == replayed(bench)
    assert "all is replayed" in caplog.text


def test_a_state_of_another_version_than_it_says_is_done_without(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise its tail would be evolved twice, or not at all."""
    counted(bench, 10)
    wrong = msgspec.json.encode(Tally(A, version=9))
    bench.snapshots.save(A, 1, 10, anchor_of(bench.log, A, 10), 10, [wrong])
    assert loaded(bench, TallyDecider()) == replayed(bench)
    assert "all is replayed" in caplog.text


def test_a_snapshot_of_another_log_is_done_without(bench: Bench) -> None:
    """After the log was restored from a backup, later snapshots are not its own."""
    counted(bench, 10)
    state = msgspec.json.encode(Tally(A, version=12, total=99))
    bench.snapshots.save(A, 1, 12, b"\x01" * 32, 12, [state])
    assert loaded(bench, TallyDecider()) == replayed(bench)
    bench.snapshots.save(A, 1, 12, b"", 12, [state])
    assert loaded(bench, TallyDecider()) == replayed(bench)
    assert snapshot(bench) == 1
    decider = TallyDecider()
    assert loaded(bench, decider).version == 10
    assert decider.evolved == 0


def test_a_campaign_survives_its_snapshot(bench: Bench) -> None:
    """The domain's whole state comes back: pledges, stock, holds, figures."""
    campaign, reward, staff = str(uuid.uuid4()), str(uuid.uuid4()), f"staff:{uuid.uuid4()}"

    def by(actor: str) -> dict[str, Any]:
        return {"campaign_id": campaign, "by": actor, "command_id": str(uuid.uuid4())}

    def backer() -> dict[str, Any]:
        party = str(uuid.uuid4())
        return {**by(f"backer:{party}"), "backer": party}

    submission = Submission(
        creator=str(uuid.uuid4()),
        model="all_or_nothing",
        currency="JPY",
        goal_minor=80_000,
        deadline_at=time.time_ns() // 1_000_000 + 10**9,
        terms=Terms(),
        rewards=(Reward(reward_id=reward, price_minor=500, limit=9),),
    )
    commands = [
        SubmitCampaign(**by(staff), channel=str(uuid.uuid4()), submission=submission),
        ApproveCampaign(**by(staff)),
        LaunchCampaign(**by(staff)),
        PlaceHold(**backer(), hold_id=str(uuid.uuid4()), choices=(Choice(reward, 2),)),
    ]
    made = [
        MakePledge(
            **backer(),
            pledge_id=str(uuid.uuid4()),
            amount_minor=900 + n,
            currency="JPY",
            choices=(Choice(reward),) if n < 3 else (),
        )
        for n in range(20)
    ]
    gone = WithdrawPledge(**by(made[4].by), pledge_id=made[4].pledge_id)
    decider = CampaignDecider()
    with Engine(bench.log, bench.snapshots, decider) as engine:
        only_outcomes(engine.submit_many([*commands, *made[:15], gone]))
    name = stream(campaign)
    follower = SnapshotFollower(bench.log, bench.snapshots, decider, least_tail=2)
    assert follower.take_due_snapshots() == 1
    saved = bench.snapshots.latest(name, decider.schema)
    assert saved is not None
    assert decider.load(saved.chunks) == load_state(bench.log, None, decider, name)
    with Engine(bench.log, bench.snapshots, decider) as engine:
        assert engine.submit(made[3]).repeated
        only_outcomes(engine.submit_many(made[15:]))
    whole = load_state(bench.log, None, decider, name)
    assert load_state(bench.log, bench.snapshots, decider, name) == whole
    assert whole.figures.pledges == 19


def test_pledges_are_dumped_in_chunks() -> None:
    """A million pledges do not make one blob."""
    decider = CampaignDecider()
    assert len(list(decider.dump(decider.initial("campaign:x")))) == 1
    state = decider.initial("campaign:x")
    for no in range(1, 25_001):
        pledge = Pledge(no, f"p{no}", "b", 5, (), "", "", no)
        state.pledges.append(pledge)
        state.no_by_id[pledge.pledge_id] = no
    chunks = list(decider.dump(state))
    assert len(chunks) == 1 + 13
    assert decider.load(chunks) == state
    assert decider.weight(state) > 25_000
