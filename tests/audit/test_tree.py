"""`audit verify` on the transparency log: leaves, tiles, checkpoints, and what others keep."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
import pytest

from app.audit import share
from app.audit.findings import Finding, Findings
from app.audit.leaves import Erased, LeavesSeen
from app.audit.reader import AuditLog, CannotAudit
from app.audit.tree import TreeCheck, seal_of
from app.audit.tree_place import Outside, TreePlace
from app.audit.tree_ranges import RANGE, TreeRange, kept_of, look_at
from app.audit.verify import Verified, describe, verify
from app.keys import fingerprint
from app.transparency.checkpoint import Checkpoint
from app.transparency.merkle import inclusion_proof
from app.transparency.note import SigningKey
from app.transparency.proof import TlogProof
from app.transparency.signing import FILE, Signed, write_signed
from app.transparency.store import SignedCheckpoint, open_transparency
from tests.audit.tree_world import TreeWorld
from tests.audit.world import World


@pytest.fixture
def lived(tmp_path: Path, database_url: str) -> Iterator[TreeWorld]:
    """Whole lives with their transparency log, on both databases in turn."""
    made = TreeWorld(tmp_path, database_url)
    made.lives()
    yield made
    made.close()


def kinds(found: Verified) -> dict[str, list[int | None]]:
    """The positions of what was found, by kind."""
    return kinds_of(found.violations)


def kinds_of(findings: list[Finding]) -> dict[str, list[int | None]]:
    """The positions of some findings, by kind."""
    places: dict[str, list[int | None]] = {}
    for finding in findings:
        places.setdefault(finding.rule, []).append(finding.position)
    return places


def tamper_with_tree(world: TreeWorld, statement: str, *values: object) -> None:
    """Change the stored tree past every guard."""
    if world.settings.database_url:
        with psycopg.connect(world.settings.database_url) as database:
            database.execute("SET search_path = transparency")
            changed = database.execute(statement.replace("?", "%s").encode(), values).rowcount
    else:
        with closing(sqlite3.connect(world.settings.transparency_path)) as file, file:
            changed = file.execute(statement, values).rowcount
    assert changed > 0


def flipped(data: bytes, byte: int) -> bytes:
    """The same with one bit turned over."""
    return data[:byte] + bytes([data[byte] ^ 1]) + data[byte + 1 :]


# --- All is well ---------------------------------------------------------------------------------


def test_a_whole_tree_is_clean(lived: TreeWorld) -> None:
    """Every leaf, tile and checkpoint is as the events say, and those kept elsewhere agree."""
    found = lived.verified(*lived.outside)
    assert found.violations == []
    assert found.tree is not None
    events, _ = lived.log.last()
    assert found.tree.leaves == events
    assert found.tree.root == lived.tree.root_at(events).hex()
    assert found.tree.checkpoints == found.tree.outside == len(lived.outside)
    assert found.tree.checkpoint == events
    assert found.tree.waiting == 0


def test_who_was_erased_is_counted(lived: TreeWorld) -> None:
    """What nobody can open any more is no violation, and is said."""
    found = lived.verified()
    assert found.ok
    assert found.tree is not None
    assert found.tree.unopenable == 3
    (line,) = (line for line in describe(found) if "no longer be opened" in line)
    assert line.startswith(f"3 of {found.tree.leaves} event commitments")


def test_events_may_wait_for_their_leaves(lived: TreeWorld) -> None:
    """What has no leaf yet is counted; nothing is wrong with it."""
    lived.launch()
    found = lived.verified(*lived.outside)
    assert found.ok
    assert found.tree is not None
    assert found.tree.waiting == 3


def test_an_earlier_moment_is_checked_alone(lived: TreeWorld) -> None:
    """Up to a position, only what was there then is looked at."""
    last, _ = lived.log.last()
    lived.rewrite(last, '"amount_minor":6000', '"amount_minor":6001')
    assert not lived.verified(*lived.outside).ok
    found = lived.verified(*lived.outside, moment=str(last - 1))
    assert found.ok
    assert found.tree is not None
    assert found.tree.leaves == last - 1
    assert any("not looked at" in sentence for sentence in found.left_out)


def test_the_root_is_printed_as_in_a_checkpoint(lived: TreeWorld) -> None:
    """In base64, so that a person can compare the two."""
    root = lived.outside[-1].split("\n")[2]
    assert f"root {root}," in lived.audit("verify").stdout
    assert lived.audit("verify", "--at", "0").exit_code == 2


def test_the_command_takes_checkpoints(lived: TreeWorld, tmp_path: Path) -> None:
    """`--checkpoint FILE` is held against the tree, `--key VKEY` says who must have signed it."""
    file = tmp_path / "a checkpoint"
    file.write_text(lived.outside[2])
    result = lived.audit("verify", "--checkpoint", str(file), "--key", lived.vkey)
    assert result.exit_code == 0
    assert "1 checkpoint from outside was held against it." in result.stdout
    other = SigningKey.generate(lived.keys.origin).verifier.encode()
    result = lived.audit("verify", "--checkpoint", str(file), "--key", other)
    assert result.exit_code == 2
    assert "is no checkpoint of this log" in result.stderr
    file.write_text("nothing of the kind")
    assert lived.audit("verify", "--checkpoint", str(file)).exit_code == 2


# --- Leaves and events ---------------------------------------------------------------------------


def test_a_rewritten_event_is_named(lived: TreeWorld) -> None:
    """A fact changed where no rule looks is not the one that is in the tree."""
    place = lived.position("pledge.made.v1", 2)
    pledge_id = msgspec.json.decode(lived.body(place))["pledge_id"]
    lived.rewrite(place, pledge_id, f"{pledge_id[:-1]}{'1' if pledge_id[-1] == '0' else '0'}")
    found = lived.verified()
    assert kinds(found) == {"leaf": [place]}
    assert "its stored bytes are others" in found.violations[0].sentence


def test_what_a_destroyed_key_covered_is_still_told_by_the_public_part(lived: TreeWorld) -> None:
    """An amount of an erased person's event is in the public part, which can always be opened."""
    place = lived.position("pledge.made.v1", 4)
    lived.rewrite(place, '"amount_minor":900', '"amount_minor":901')
    assert place in kinds(lived.verified())["leaf"]


def test_a_deleted_event_is_named(lived: TreeWorld) -> None:
    """A leaf without its event is told by its position."""
    place = lived.position("pledge.made.v1", 2)
    lived.tamper("DELETE FROM events WHERE position = ?", place)
    assert kinds(lived.verified())["leaf"] == [place]


def test_a_lost_end_is_named(lived: TreeWorld) -> None:
    """A log that ends before its tree was cut off."""
    last, _ = lived.log.last()
    lived.tamper("DELETE FROM events WHERE position > ?", last - 3)
    assert kinds(lived.verified())["tree"] == [last - 2]


def test_a_key_that_is_gone_without_a_word_is_found(lived: TreeWorld) -> None:
    """Whose key was destroyed was erased, and the log says so: else somebody hides something."""
    party = msgspec.json.decode(lived.body(lived.position("pledge.made.v1", 2)))["backer"]
    lived.erase(party, recorded=False)
    assert kinds(lived.verified()) == {"erasure": [lived.position("pledge.made.v1", 2)]}


def test_a_seal_tells_what_no_key_can(lived: TreeWorld) -> None:
    """The fact that a person was erased may seal the events about them: one changed is found."""
    secret, party = lived.keys.log_secret, "a person"
    records = [position.to_bytes(8) + bytes([position % 256]) * 32 for position in (4, 9, 300)]
    fact = Erased(20, 19, seal_of(secret, party, records[:2]))
    changed = records[1][:8] + b"x" * 32
    for kept, found in (
        (records, {}),
        (records[::-1], {}),
        ([records[0], changed], {"erasure": [20]}),
        (records[:1], {"erasure": [20]}),
    ):
        findings = Findings()
        seen = LeavesSeen(erased={party: fact}, sealed={party: b"".join(kept)})
        check = TreeCheck(lived.place(), findings, [])
        with closing(AuditLog(lived.log_place)) as log:
            check._check_erased(log, seen)
        assert kinds_of(findings.listed) == found


def test_without_keys_it_is_said_what_was_not_checked(lived: TreeWorld) -> None:
    """An auditor who has only the log, or no persons' keys, is told what was not made again."""
    place = lived.place()
    found = lived.verified(place=msgspec.structs.replace(place, log_secret=b""))
    assert found.ok
    assert any("no leaf was made again" in sentence for sentence in found.left_out)
    found = lived.verified(place=msgspec.structs.replace(place, master=b""))
    assert found.ok
    assert found.tree is not None
    assert found.tree.unchecked > 0
    assert any("Persons' keys are not at hand" in sentence for sentence in found.left_out)
    changed = lived.position("pledge.made.v1", 2)
    lived.rewrite(changed, '"amount_minor":7000', '"amount_minor":7001')
    assert (
        changed in kinds(lived.verified(place=msgspec.structs.replace(place, master=b"")))["leaf"]
    )


def test_another_secret_is_told(lived: TreeWorld) -> None:
    """With a secret that is not the tree's nothing can be made again, and it is said."""
    place = msgspec.structs.replace(lived.place(), log_secret=b"x" * 32)
    found = lived.verified(place=place)
    assert kinds(found) == {"tree": [None]}
    assert "secret" in found.violations[0].sentence


def test_shares_find_the_same(lived: TreeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the log is cut, leaves are held against the same tree."""
    place = lived.position("pledge.made.v1", 2)
    lived.rewrite(place, '"amount_minor":7000', '"amount_minor":7001')
    whole = lived.verified(*lived.outside)
    monkeypatch.setattr(share, "SHARE_EVENTS", 7)
    assert lived.verified(*lived.outside) == whole
    paths = (lived.log_place, lived.settings.test_bank_path)
    shared, _ = verify(*paths, workers=3, tree=lived.place(*lived.outside))
    assert shared == whole


# --- Tiles ---------------------------------------------------------------------------------------


def test_a_changed_leaf_is_named(lived: TreeWorld) -> None:
    """A stored leaf that is not its event's is told by position, and so is its hash."""
    place = lived.position("pledge.made.v1", 3)
    entries = lived.tree.bundle(0, lived.tree.size)
    byte = (place - 1) * 74 + 20
    tamper_with_tree(lived, "UPDATE bundles SET entries = ?", flipped(entries, byte))
    found = kinds(lived.verified())
    assert found["leaf"] == [place]
    assert found["tree"] == [place]
    assert place >= found["checkpoint"][0]  # type: ignore[operator] # it has a position


def test_a_changed_tile_is_named(lived: TreeWorld) -> None:
    """A stored hash that is not its leaf's is told by position; nothing else is blamed."""
    hashes = lived.tree.tile(0, 0, lived.tree.size)
    tamper_with_tree(lived, "UPDATE tiles SET hashes = ?", flipped(hashes, 5 * 32 + 3))
    assert kinds(lived.verified()) == {"tree": [6]}


@pytest.mark.parametrize("table", ["tiles", "bundles"])
def test_what_is_missing_is_named(lived: TreeWorld, table: str) -> None:
    """A tile or a bundle that is not there is found where it begins."""
    tamper_with_tree(lived, f"DELETE FROM {table}")  # noqa: S608 - from above
    assert kinds(lived.verified()) == {"tree": [1]}


def test_large_trees_are_made_again(tmp_path: Path) -> None:
    """The roots over several ranges are those of the whole tree, at sizes of every kind, and a hash
    changed on any level is found.
    """
    world = World(tmp_path)
    store = open_transparency(world.settings)
    key = SigningKey.generate("large.test/log")
    vkey = key.verifier.encode()
    store.begin(world.log.log_id, "large.test/log", vkey, fingerprint(b"s" * 32))
    size = 2 * RANGE + 3 * 256 + 17
    sizes = [1, 255, 256, 257, 700, RANGE - 1, RANGE, RANGE + 1, RANGE + 512, 2 * RANGE, size]
    leaves = [(at + 1).to_bytes(8) + bytes(64) for at in range(size)]
    before = 0
    for next_size in sizes:
        store.append(before, leaves[before:next_size])
        before = next_size
        text = Checkpoint("large.test/log", next_size, store.root_at(next_size)).text
        note = f"{text}\n{key.sign(text)}"
        root = store.root_at(next_size)
        store.add_checkpoint(SignedCheckpoint(next_size, root, 0, note, note))

    def violations() -> dict[str, list[int | None]]:
        place = msgspec.structs.replace(tree_of_world(world), log_secret=b"")
        found, _ = verify(world.log_place, tmp_path / "none", tree=place, workers=1)
        # The log is empty: that its end is lost is found first.
        assert found.violations[0].position == 1
        return kinds(msgspec.structs.replace(found, violations=found.violations[1:]))

    assert violations() == {}
    for level, n, width, at, position in (
        (0, 300, 256, 9, 300 * 256 + 10),
        (1, 1, 256, 7, RANGE + 7 * 256 + 1),
        (2, 0, 2, 1, RANGE + 1),
    ):
        hashes = store.tile(level, n, width)
        place = (level << 48) + n
        for value in (flipped(hashes, at * 32), hashes):
            with closing(sqlite3.connect(world.settings.transparency_path)) as file, file:
                file.execute("UPDATE tiles SET hashes = ? WHERE place = ?", (value, place))
            assert violations() == ({} if value == hashes else {"tree": [position]})
    store.close()
    world.close()


def tree_of_world(world: World) -> TreePlace:
    """Where the tree of a world is."""
    return TreePlace(store=world.settings.transparency_path)


# --- Checkpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"), [("root", b"r" * 32), ("note", "no note"), ("published", "no note\n")]
)
def test_a_changed_checkpoint_is_named(lived: TreeWorld, column: str, value: object) -> None:
    """A checkpoint whose row or note was changed is told by its size."""
    third = lived.tree.checkpoints()[2].size
    tamper_with_tree(
        lived,
        f"UPDATE checkpoints SET {column} = ? WHERE size = ?",  # noqa: S608 - from above
        value,
        third,
    )
    assert set(kinds(lived.verified())["checkpoint"]) == {third}


def test_a_checkpoint_of_somebody_elses_key_is_found(lived: TreeWorld) -> None:
    """What was signed with another key of the same name is no checkpoint of this log."""
    known = lived.tree.checkpoints()[2]
    text = Checkpoint(lived.keys.origin, known.size, known.root).text
    note = f"{text}\n{SigningKey.generate(lived.keys.origin).sign(text)}"
    tamper_with_tree(lived, "UPDATE checkpoints SET note = ? WHERE size = ?", note, known.size)
    assert kinds(lived.verified()) == {"checkpoint": [known.size]}


def test_what_was_signed_last_is_held_against_the_tree(lived: TreeWorld) -> None:
    """The file beside the database tells a tree that was rewound, or made otherwise."""
    size, path = lived.tree.size, lived.settings.keys_dir / FILE
    root = lived.tree.root_at(size).hex()
    write_signed(path, Signed(lived.keys.origin, size, "00" * 32, 0))
    assert kinds(lived.verified()) == {"checkpoint": [size]}
    write_signed(path, Signed(lived.keys.origin, size + 4, root, 0))
    assert kinds(lived.verified()) == {"checkpoint": [size + 1]}
    path.write_bytes(b"\xff\xff")
    assert kinds(lived.verified()) == {"checkpoint": [None]}


def test_checkpoints_beyond_the_tree_are_told(lived: TreeWorld) -> None:
    """A tree that was cut back is told by what stands signed behind its end."""
    sizes = [known.size for known in lived.tree.checkpoints()]
    tamper_with_tree(lived, "UPDATE trees SET size = ?", sizes[-3])
    found = lived.verified(place=msgspec.structs.replace(lived.place(), signed=None))
    assert kinds(found) == {"checkpoint": [sizes[-3] + 1]}
    assert "2 checkpoints of more events" in found.violations[0].sentence


# --- From outside --------------------------------------------------------------------------------


def forked(world: TreeWorld, size: int) -> str:
    """A checkpoint that the log signed for another tree."""
    text = Checkpoint(world.keys.origin, size, b"f" * 32).text
    return f"{text}\n{world.keys.signing.sign(text)}"


def test_a_fork_is_told_with_where_it_began(lived: TreeWorld) -> None:
    """Of checkpoints kept elsewhere the last that agrees and the first that does not say between
    which positions something was changed.
    """
    sizes = [known.size for known in lived.tree.checkpoints()]
    outside = [*lived.outside[:3], forked(lived, sizes[3]), forked(lived, sizes[5])]
    found = lived.verified(*outside)
    assert kinds(found) == {"fork": [sizes[2] + 1]}
    sentence = found.violations[0].sentence
    assert f"in positions {sizes[2] + 1} to {sizes[3]}; 1 more from outside" in sentence


def signed_by(key: SigningKey, size: int) -> str:
    """A checkpoint of the log with this key."""
    text = Checkpoint(key.verifier.name, size, b"f" * 32).text
    return f"{text}\n{key.sign(text)}"


def test_another_logs_checkpoint_is_no_fork(lived: TreeWorld) -> None:
    """It says nothing about this log, however many events it is of. One of this log under the name
    that it had before a restore, or after it, does.
    """
    origin, size = lived.keys.origin, lived.tree.size + 5
    for name, fork in (("other.example/log", False), (f"{origin}/r2-0123abcd", True)):
        key = SigningKey.generate(name)
        outside = (Outside("a file", signed_by(key, size)),)
        place = msgspec.structs.replace(
            lived.place(), outside=outside, keys=(key.verifier.encode(),)
        )
        if fork:
            assert kinds(lived.verified(place=place)) == {"fork": [1]}
            continue
        with pytest.raises(CannotAudit, match=f"of {name}, and this log calls itself {origin}"):
            lived.verified(place=place)


def test_a_log_that_was_cut_is_told(lived: TreeWorld) -> None:
    """A checkpoint of more events than there are says that some are gone."""
    size = lived.tree.size
    found = lived.verified(*lived.outside, forked(lived, size + 5))
    assert kinds(found) == {"fork": [size + 1]}
    assert f"those of positions {size + 1} to {size + 5} are gone" in found.violations[0].sentence


def receipt(world: TreeWorld, position: int) -> str:
    """What the person whom this event is about keeps: its proof in the newest checkpoint."""
    size = world.tree.size
    hashes = tuple(inclusion_proof(world.tree, position - 1, size))
    return TlogProof(position - 1, hashes, world.outside[-1]).encode()


def test_a_receipt_is_a_checkpoint_too(lived: TreeWorld) -> None:
    """A proof agrees where its checkpoint does, and where its event is the one that is here."""
    found = lived.verified(receipt(lived, 5))
    assert found.ok
    assert found.tree is not None
    assert found.tree.outside == 1


def test_receipts_tell_which_event_was_changed(lived: TreeWorld) -> None:
    """Where everything was made anew, the receipt of the event that was changed names it."""
    receipts = [receipt(lived, 7), receipt(lived, 9)]
    entries = lived.tree.bundle(0, lived.tree.size)
    tamper_with_tree(lived, "UPDATE bundles SET entries = ?", flipped(entries, 6 * 74 + 50))
    found = kinds(lived.verified(*receipts))
    assert 7 in found["fork"]


def test_a_tree_that_is_gone_is_missed(lived: TreeWorld) -> None:
    """Where something was signed and no tree is there, that is found."""
    for table in ("trees", "tiles", "bundles", "checkpoints"):
        tamper_with_tree(lived, f"DELETE FROM {table}")  # noqa: S608 - from above
    assert kinds(lived.verified(*lived.outside)) == {"checkpoint": [None], "fork": [1]}


def test_what_is_no_checkpoint_cannot_be_used(lived: TreeWorld) -> None:
    """A file that nobody signed is refused, as is a key that is none."""
    with pytest.raises(CannotAudit, match="is no checkpoint of this log"):
        lived.verified("nothing of the kind")
    place = msgspec.structs.replace(lived.place(lived.outside[0]), keys=("no key",))
    with pytest.raises(CannotAudit, match="is no verifier key"):
        lived.verified(place=place)
    place = msgspec.structs.replace(
        place, keys=(), outside=(Outside("a file", "c2sp.org/tlog-proof@v1\n"),)
    )
    with pytest.raises(CannotAudit, match="a file is no proof"):
        lived.verified(place=place)


def test_a_range_keeps_its_sizes_in_order(lived: TreeWorld, tmp_path: Path) -> None:
    """What a range hands on names each size that was signed or asked for."""
    size = lived.tree.size
    task = TreeRange(lived.place(), {1: lived.vkey}, size, 0, (3,), tmp_path)
    found = look_at(task, lambda _: None)
    sizes = [begun.size for begun in kept_of(task)]
    assert sizes == sorted(sizes)
    assert set(sizes) == {3, *(known.size for known in lived.tree.checkpoints())} - {0}
    assert found.root == b""
