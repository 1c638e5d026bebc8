"""Every event has its leaf, in its place, by the right keys."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from app.transparency.follower import BATCH, LeafFollower
from app.transparency.leaf import Leaf, Salts, commit
from app.transparency.looking_up import Backers, NoSuchPledgeError, ViewsBehindError
from app.transparency.making import leaf_of
from app.transparency.public_part import public_part
from app.transparency.signing import ForkError
from app.transparency.store import TransparencyStore, TreeMovedError
from domain import events as e
from projections.reading import LogGapError, Tail, UnreadableFactError
from projections.runner import Follower
from projections.views import Views
from tests.projections.history import Row
from tests.transparency.test_public_part import golden
from tests.transparency.tree_stage import TreeStage


def expected(stage: TreeStage) -> list[Leaf]:
    """The leaves by the plain way: each event by itself, from what the log says."""
    salts = Salts(stage.keys.log_secret)
    currencies: dict[str, str] = {}
    backers: dict[tuple[str, int], str] = {}
    found = []
    for row, event in zip(stage.history.log.rows, stage.events, strict=True):
        if isinstance(event, e.CampaignLaunched):
            currencies[event.stream] = event.currency
        match event:
            case e.PledgeMade():
                backers[event.stream, event.no] = party = event.backer
            case e.HoldPlaced():
                party = event.backer
            case e.NeedOffered():
                party = event.party
            case _:
                party = backers.get((event.stream, getattr(event, "no", 0)), "")
        key = stage.parties.keys.get(party)
        currency = currencies.get(event.stream, "")
        found.append(leaf_of(salts, row.position, event, row.body, currency, key))
    return found


def leaves_of(store: TransparencyStore) -> list[Leaf]:
    """Every stored leaf."""
    return [store.leaf(index) for index in range(store.size)]


def test_every_event_has_its_leaf(tree_stage: TreeStage) -> None:
    """Of whole lives of campaigns, made in small steps and at once: all the same leaves."""
    store = tree_stage.store()
    follower = tree_stage.follower(store)
    for limit in (1, 7, 40):
        assert follower.step(limit) == limit
    follower.catch_up()
    assert leaves_of(store) == expected(tree_stage)
    tree_stage.go_on(150)
    tree_stage.follower(store).catch_up()
    assert leaves_of(store) == expected(tree_stage)
    assert store.size == len(tree_stage.events)
    kinds = {type(event) for event in tree_stage.events}
    assert {e.PledgeMade, e.PledgeCollected, e.NeedOffered, e.PledgeWithdrawn} <= kinds


def test_who_is_not_ours_is_salted_by_the_log(tmp_path: Path) -> None:
    """A backer that somebody else minted has no key here."""
    stage = TreeStage(tmp_path)
    stage.parties.keys.clear()
    store = stage.store()
    stage.follower(store).catch_up()
    assert leaves_of(store) == expected(stage)
    salts = Salts(stage.keys.log_secret)
    at = next(i for i, event in enumerate(stage.events) if isinstance(event, e.PledgeMade))
    event, row = stage.events[at], stage.history.log.rows[at]
    salt = salts.event(event.stream, event.version, None)
    assert store.leaf(at).event == commit(salt, row.body)
    stage.close()


def test_a_destroyed_key_leaves_a_salt_that_nobody_knows(tmp_path: Path) -> None:
    """The event's commitment can not be opened by anything that is left; the public part can."""
    stage = TreeStage(tmp_path)
    gone = next(event.backer for event in stage.events if isinstance(event, e.PledgeMade))
    before = expected(stage)
    stage.parties.keys[gone] = None
    plain = expected(stage)  # None stands for the log's secret there
    store = stage.store()
    stage.follower(store).catch_up()
    made = leaves_of(store)
    assert [leaf.public for leaf in made] == [leaf.public for leaf in before]
    changed = [i for i, leaf in enumerate(made) if leaf != before[i]]
    assert changed
    assert not {made[i].event for i in changed} & {leaf.event for leaf in [*before, *plain]}
    stage.close()


def test_an_erasure_forgets_the_key_at_once(tmp_path: Path) -> None:
    """A key that was just used is not kept beyond the fact of its erasure."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    follower = stage.follower(store)
    follower.catch_up()
    known = follower._subjects._known
    party = next(iter(known))
    reading = Tail(stage.log.read, with_bodies=True).after(store.size - 1, 1)
    erased = msgspec.structs.replace(golden("subject.erased.v1"), stream=f"subject:{party}")
    follower.leaves(reading._replace(events=[erased]))
    assert party not in known
    stage.close()


def test_the_platforms_own_streams_have_leaves(tmp_path: Path) -> None:
    """An event that belongs to no campaign: no campaign, no currency, no change."""
    stage = TreeStage(tmp_path)
    follower = stage.follower(stage.store())
    reading = Tail(stage.log.read, with_bodies=True).after(0, 1)
    (event,) = reading.events
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    erased = type(event)(**fields | {"stream": "subject:somebody"})
    (leaf,) = follower.leaves(reading._replace(events=[erased]))
    salts = Salts(stage.keys.log_secret)
    body = bytes(reading.bodies[0])
    assert leaf == leaf_of(salts, 1, erased, body, "", None).encode()
    assert public_part(erased, "").campaign == ""
    stage.close()


def test_it_waits_for_the_views(tmp_path: Path) -> None:
    """Who the backer of an older pledge is stands there; nothing is guessed before."""
    stage = TreeStage(tmp_path)
    events = stage.events
    later = next(
        index
        for index, event in enumerate(events)
        if isinstance(event, e.PledgeRevised | e.PledgeWithdrawn | e.CollectionRequested)
    )
    stage.views = Views(tmp_path / "behind" / "views.db")
    viewing = Follower(stage.log.read, stage.views, log_id=stage.log.log_id)
    viewing.catch_up(until=later - 1)
    store = stage.store()
    follower = stage.follower(store)
    follower.step(later)
    with pytest.raises(ViewsBehindError):
        follower.step()
    assert store.size == later
    viewing.catch_up()
    follower.catch_up()
    assert leaves_of(store) == expected(stage)
    stage.close()


def test_views_that_lack_a_pledge_are_told(tmp_path: Path) -> None:
    """A pledge whose number nobody knows gets no leaf under somebody else's key."""
    stage = TreeStage(tmp_path)
    backers = Backers(stage.views, stage.log.log_id)
    stream = next(event.stream for event in stage.events if isinstance(event, e.PledgeMade))
    for wrong in ((stream, 9_999), ("campaign:nowhere", 1)):
        with pytest.raises(NoSuchPledgeError):
            backers.of([wrong], 1)
    stage.close()


def test_of_two_followers_each_leaf_is_made_once(tree_stage: TreeStage) -> None:
    """Two that both believe to have the turn: who is late looks again and goes on."""
    store = tree_stage.store()
    one, two = tree_stage.follower(store), tree_stage.follower(tree_stage.store())
    one.step(10)
    two.step(10)
    with pytest.raises(TreeMovedError):
        one.step(10)
    assert one.step(10) == 10
    with pytest.raises(TreeMovedError):
        two.step(10)
    two.catch_up()
    assert leaves_of(store) == expected(tree_stage)


def test_a_log_that_is_shorter_than_the_tree_is_a_fork(tmp_path: Path) -> None:
    """The message says what was lost and what to do."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    stage.follower(store).catch_up()
    del stage.history.log.rows[-5:]
    with pytest.raises(ForkError, match=r"rewound.*accept-restore"):
        stage.follower(store).step()
    stage.close()


def test_another_event_under_the_last_leaf_is_a_fork(tmp_path: Path) -> None:
    """A log that was rewound and went on otherwise before anybody looked."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    stage.follower(store).catch_up()
    rows = stage.history.log.rows
    last = rows[-1]
    body = last.body.replace(b'"version":', b'"version":1')
    rows[-1] = Row(last.position, last.tag, body)
    with pytest.raises(ForkError, match="another event"):
        stage.follower(store).step()
    stage.close()


def test_what_cannot_be_read_is_never_passed_over(tmp_path: Path) -> None:
    """All before it have their leaves; then it stands still and says where."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    rows = stage.history.log.rows
    rows[20] = Row(21, "pledge.unknown.v9", b'{"type":"pledge.unknown.v9"}')
    stop = threading.Event()
    follower = LeafFollower(
        _Unfiltered(stage),
        Tail(stage.history.log.read, with_bodies=True),
        store,
        stage.keys.log_secret,
        stage.follower(store)._subjects,
        may_follow=lambda: True,
        told=lambda: None,
    )
    follower.run(stop)
    assert store.size == 20
    assert "position 21" in follower.fault
    with pytest.raises(UnreadableFactError):
        follower.step()
    stage.close()


class _Unfiltered:
    """The log without a look at what its rows say."""

    def __init__(self, stage: TreeStage) -> None:
        self._stage = stage
        self.read_stream = stage.log.read_stream

    def last(self) -> tuple[int, int]:
        """Where it ends."""
        return len(self._stage.history.log.rows), 0

    def wait(self, _after: int, _timeout: float) -> int:
        """The same."""
        return len(self._stage.history.log.rows)


def test_a_gap_stops_it(tmp_path: Path) -> None:
    """A position that is missing is not made up."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    follower = stage.follower(store)
    follower.step(10)
    del stage.history.log.rows[12]
    with pytest.raises(LogGapError):
        follower.catch_up()
    assert store.size <= 12
    stage.close()


def run_until(stage: TreeStage, follower: LeafFollower, done: Callable[[], bool]) -> None:
    """Let the follower's thread run until something is so."""
    stop = threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    for _ in range(1_000):
        if done():
            break
        threading.Event().wait(0.01)
    stop.set()
    thread.join()
    assert done()
    assert stage.told


def test_its_thread_follows_and_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that does not answer for a while holds it up and breaks nothing."""
    stage = TreeStage(tmp_path)
    store = stage.store()
    follower = stage.follower(store)
    append, failures = store.append, iter((OSError("full"), None))

    def sometimes(size: int, leaves: list[bytes]) -> int:
        if fault := next(failures, None):
            raise fault
        return append(size, leaves)

    monkeypatch.setattr(store, "append", sometimes)
    monkeypatch.setattr("app.transparency.follower.PAUSE_S", 0.01)
    run_until(stage, follower, lambda: store.size == len(stage.events))
    assert not follower.fault
    stage.close()


def test_only_who_has_the_turn_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine's turn: nothing is appended here until it is ours."""
    monkeypatch.setattr("app.transparency.follower.PAUSE_S", 0.01)
    stage = TreeStage(tmp_path)
    stage.ours = False
    store = stage.store()
    follower = stage.follower(store)
    asked = 0

    def ours() -> bool:
        nonlocal asked
        asked += 1
        assert store.size == 0 or asked > 3
        return asked > 3

    follower._may_follow = ours
    run_until(stage, follower, lambda: store.size == len(stage.events))
    stage.close()


def test_a_batch_has_an_end() -> None:
    """So many that few transactions are made, so few that a reader does not wait."""
    assert 4_000 <= BATCH <= 20_000
