"""The audit from outside: what is honest passes, and each way to cheat is found and named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from app.audit.commands import audit
from app.transparency import publishing_openings
from app.transparency.merkle import MemoryTiles, leaf_hash, root_at
from app.transparency.note import COSIGNATURE, SigningKey
from app.transparency.openings import PLATFORM, Claim, Index, Listed, Live
from app.transparency.tiles import tile_path
from domain import commands as c
from tests.audit.published import Shown, shown
from tests.transparency.openings_stage import Opened, lived

Told = dict[str, Any]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Opened]:
    """A platform with whole lives behind it, each day opened: see `lives`."""
    folder = tmp_path / "data"
    folder.mkdir()
    made = Opened(folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lives, Shown]:
    """What is published of `lives`."""
    world = Opened(tmp_path_factory.mktemp("honest"))
    made = lives(world)
    found = shown(world)
    world.close()
    return made, found


@pytest.fixture
def made(honest: tuple[Lives, Shown]) -> Lives:
    """The campaigns of what is published."""
    return honest[0]


@pytest.fixture
def published(honest: tuple[Lives, Shown]) -> Shown:
    """What is published, for one test to cheat with."""
    found = honest[1]
    return Shown(
        found.key,
        [*found.leaves],
        {campaign: [*batches] for campaign, batches in found.batches.items()},
        Live(found.live.position, [*found.live.campaigns]),
    )


class Lives(msgspec.Struct):
    """The campaigns of `lives`."""

    paid: str
    failed: str
    running: str


def lives(world: Opened) -> Lives:
    """One campaign paid out after a refund, one failed and gone back, one that goes on, with two
    backers whose entries wait.
    """
    failed = world.launch(collect_at_pledge=True)
    world.pledge(failed, 700)
    world.collect(failed, 1, 700)
    paid = world.succeed(3_000, 2_000, 2_500, 1_500, 2_600, 1_400)
    world.do(c.CloseCampaign, failed)
    world.refund(failed, 1, 700)
    world.day_passes()
    world.refund(paid, 2, 500)
    world.pay_out(paid)
    world.day_passes()
    running = world.launch()
    world.pledge_many(running, 300)
    world.day_passes()
    world.pledge(running, 1_200)
    world.pledge(running, 800)
    world.day_passes()
    return Lives(paid, failed, running)


def run(*arguments: object) -> Result:
    """Run `tributary audit public`."""
    options = SimpleNamespace(json=False)
    words = ["public", *(str(argument) for argument in arguments)]
    return CliRunner().invoke(audit, words, obj=options, catch_exceptions=False)


def told(*arguments: object) -> Told:
    """The same with `--json`: the object, with the exit code among it."""
    options = SimpleNamespace(json=True)
    words = ["public", *(str(argument) for argument in arguments)]
    result = CliRunner().invoke(audit, words, obj=options, catch_exceptions=False)
    assert result.exit_code in (0, 1), result.output
    found: Told = msgspec.json.decode(result.stdout)
    assert found["ok"] == (result.exit_code == 0)
    return found


def findings(found: Told) -> list[tuple[str, int | None, str, str]]:
    """Rule, position, campaign and sentence of each."""
    return [
        (one["rule"], one["position"], one["stream"], one["sentence"]) for one in found["findings"]
    ]


def vkey(published: Shown) -> str:
    """The log's public key."""
    return published.key.verifier.encode()


# --- Honest --------------------------------------------------------------------------------------


def test_an_honest_log_passes(made: Lives, published: Shown, tmp_path: Path) -> None:
    """Every total is added up; what is not opened is counted; the pages differ only by that."""
    folder = published.write(tmp_path / "public")
    found = told(folder, "--key", vkey(published))
    assert findings(found) == []
    assert found["size"] == found["opened"] + found["unopened"] == len(published.leaves) > 300
    assert found["unopened"] == 2
    assert found["warnings"] == []
    campaigns = {one["campaign"]: one for one in found["campaigns"]}
    assert set(campaigns) == {made.paid, made.failed, made.running}
    paid = campaigns[made.paid]["totals"]
    assert (paid["charged"], paid["returned"], paid["held"]) == (13_000, 500, 0)
    assert paid["paid"] + paid["fees"] == 12_500
    assert campaigns[made.failed]["totals"]["returned"] == 700
    running = campaigns[made.running]
    assert running["totals"]["pledged"] == 300 * 100
    assert running["live"]["more"] == msgspec.to_builtins(Claim(pledged=2_000, pledges=2))
    assert running["live"]["unopened"] == 2
    assert campaigns[made.paid]["live"]["more"] == msgspec.to_builtins(Claim())


@pytest.mark.parametrize("seed", range(3))
def test_whole_lives_by_chance_pass(
    world: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Disputes, debts, payouts that came back, erasures: all of it adds up from outside."""
    monkeypatch.setattr(publishing_openings, "FEWEST_BACKERS", 1)
    lived(world, seed)
    found = told(shown(world).write(tmp_path / "public"))
    assert findings(found) == []
    assert found["opened"] > 150
    assert found["unopened"] < found["size"] / 2


def test_it_says_so_in_words(made: Lives, published: Shown, tmp_path: Path) -> None:
    """For a person: every number with its name, and how it ended."""
    folder = published.write(tmp_path / "public")
    result = run(folder)
    assert result.exit_code == 0
    words = " ".join(result.output.split())
    for part in (
        f"Log {published.key.verifier.name}, at {folder}",
        "Warning: The key is the one that the log shows of itself",
        "Not yet opened: 2, the first at position",
        f"Campaign {made.paid}:",
        "charged BRL 130.00" if "BRL 130.00" in words else "charged R$",
        "the page shows besides: pledged +",
        "which must stand in 2 leaves that are not opened yet",
        "All well:",
    ):
        assert part in words, result.output


def test_as_it_stood(made: Lives, published: Shown, tmp_path: Path) -> None:
    """`--at` looks at the first leaves alone, under a checkpoint of more."""
    folder = published.write(tmp_path / "public")
    size = published.batches[made.paid][0].up_to_position
    found = told(folder, "--key", vkey(published), "--at", size)
    assert findings(found) == []
    hashes = [leaf_hash(leaf) for leaf in published.leaves[:size]]
    root = msgspec.to_builtins(root_at(MemoryTiles(hashes), size))
    assert (found["size"], found["root"]) == (size, root)
    assert found["later_batches"] > 0
    campaigns = {one["campaign"]: one["totals"] for one in found["campaigns"]}
    assert campaigns[made.paid]["paid"] == 0
    for beyond in (len(published.leaves) + 1, 0, -1):
        result = run(folder, "--at", beyond)
        assert result.exit_code == 2
        assert f"There is no position {beyond}: the log holds 1 to" in result.output


def test_as_it_stood_in_the_middle_of_a_batch(
    made: Lives, published: Shown, tmp_path: Path
) -> None:
    """Of a batch that ends beyond `--at` what is at or before it counts, and opens its leaf; what
    the batch claims is not compared.
    """
    openings = published.batches[made.running][0].openings
    size = openings[99].position
    published.change_claim(made.running, 1, pledged=1)
    folder = published.write(tmp_path / "public")
    found = told(folder, "--key", vkey(published), "--at", size)
    assert findings(found) == []
    assert (found["opened"], found["unopened"], found["cut_batches"]) == (size, 0, 1)
    (running,) = [one for one in found["campaigns"] if one["campaign"] == made.running]
    pledged = sum('"pledged",100' in one.public for one in openings[:100])
    assert (running["entries"], running["totals"]["pledged"]) == (100, 100 * pledged)
    assert pledged > 90
    words = " ".join(run(folder, "--at", size).output.split())
    assert "1 batch ends beyond these leaves" in words
    assert "every claimed total of these leaves is the sum" in words
    early = " ".join(run(folder, "--at", 1).output.split())
    assert "No claimed total is of these leaves alone" in early
    position = published.change_opening(made.running, 1, 9, '"pledged",100', '"pledged",900')
    changed = findings(told(published.write(tmp_path / "public"), "--at", size))
    assert [(rule, place) for rule, place, _, _ in changed] == [("openings", position)]


def test_campaigns_come_in_the_order_of_their_beginnings(published: Shown, tmp_path: Path) -> None:
    """Whatever their ids; of a directory no page's address is known."""
    found = told(published.write(tmp_path / "public"))["campaigns"]
    assert [one["first"] for one in found] == sorted(one["first"] for one in found)
    assert {one["page"] for one in found} == {""}


def test_witnesses_are_counted(published: Shown, tmp_path: Path) -> None:
    """A cosignature counts; without enough of them it is a finding."""
    one, other = (SigningKey.generate(f"witness{n}.example", COSIGNATURE) for n in (1, 2))
    note = published.checkpoint()
    text = note.partition("\n\n")[0] + "\n"
    folder = published.write(tmp_path / "public", note + one.sign(text, 1_800_000_000))
    keys = ["--witness", one.verifier.encode(), "--witness", other.verifier.encode()]
    found = told(folder, "--key", vkey(published), *keys, "--quorum", 1)
    assert findings(found) == []
    assert found["witnesses"] == [{"name": "witness1.example", "at_s": 1_800_000_000}]
    ((rule, _, _, sentence),) = findings(told(folder, "--key", vkey(published), *keys))
    assert (rule, sentence) == ("witnesses", "Of 2 witnesses that are needed 1 signed.")
    result = run(folder, *keys, "--quorum", 3)
    assert result.exit_code == 2
    assert "--quorum 3 takes as many --witness options, or more." in result.output


def test_a_witness_whose_key_is_unknown_is_named(published: Shown, tmp_path: Path) -> None:
    """Who signed and was not checked is told apart from who did not sign."""
    witness = SigningKey.generate("witness.example", COSIGNATURE)
    note = published.checkpoint()
    signed = note + witness.sign(note.partition("\n\n")[0] + "\n", 1_800_000_000)
    folder = published.write(tmp_path / "public", signed)
    line = "also signed by witness.example (not checked: its key was not given)"
    assert line in run(folder).output
    found = told(folder)
    assert (found["witnesses"], found["unchecked"]) == ([], ["witness.example"])
    checked = run(folder, "--witness", witness.verifier.encode()).output
    assert "cosigned by witness.example at" in checked
    assert "not checked" not in checked


def test_an_empty_log_and_none(published: Shown, tmp_path: Path) -> None:
    """Nothing has happened yet: nothing is wrong. Nothing is published: there is no answer."""
    empty = Shown(published.key, [], {}, Live(0, []))
    assert told(empty.write(tmp_path / "empty"))["ok"]
    (tmp_path / "none").mkdir()
    assert run(tmp_path / "none").exit_code == 2
    assert run(tmp_path / "nowhere").exit_code == 2


def test_the_documented_lines_check_an_opening(
    made: Lives, published: Shown, tmp_path: Path
) -> None:
    """What the docs show in four lines opens every leaf, and none that was changed."""
    page = Path(__file__).parents[2] / "docs/auditing-from-outside.md"
    (lines,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names = {"mirror": published.write(tmp_path / "public"), "campaign": made.running}
    exec(lines, dict(names))  # noqa: S102 - our own page
    published.change_opening(made.running, 1, 9, '"pledged",100', '"pledged",900')
    published.write(tmp_path / "public")
    with pytest.raises(AssertionError):
        exec(lines, dict(names))  # noqa: S102 - the same


# --- Cheating ------------------------------------------------------------------------------------


def test_a_raised_claim(made: Lives, published: Shown, tmp_path: Path) -> None:
    """A batch claims more than its openings add up to: found there, and not in those after it."""
    claimed = published.batches[made.paid][0].totals.charged
    published.change_claim(made.paid, 1, charged=claimed + 1)
    found = told(published.write(tmp_path / "public"))
    ((rule, position, campaign, sentence),) = findings(found)
    assert (rule, campaign) == ("totals", made.paid)
    assert position == published.batches[made.paid][0].up_to_position
    assert sentence.startswith(f"Batch 1 claims charged {claimed + 1:,}")


def test_a_claim_that_stays_raised(made: Lives, published: Shown, tmp_path: Path) -> None:
    """Raised from a batch on, it is blamed on that batch and not on all that follow."""
    for number, batch in enumerate(published.batches[made.paid], 1):
        published.change_claim(made.paid, number, charged=batch.totals.charged + 1)
    ((rule, _, _, sentence),) = findings(told(published.write(tmp_path / "public")))
    assert rule == "totals"
    assert sentence.startswith("Batch 1 claims charged")
    assert len(published.batches[made.paid]) > 1


@pytest.mark.parametrize("place", [0, 3, -1])
def test_an_opening_is_left_out(made: Lives, published: Shown, tmp_path: Path, place: int) -> None:
    """Wherever it is missing, there are fewer than are listed, or the claims are of more."""
    published.listed = published.index
    openings = [*published.batches[made.running][0].openings]
    del openings[place]
    published.change_batch(made.running, 1, openings=openings)
    found = findings(told(published.write(tmp_path / "public")))
    assert {campaign for _, _, campaign, _ in found} == {made.running}
    published.change_batch(made.running, 1, up_to_position=openings[-1].position)
    assert findings(told(published.write(tmp_path / "public")))


def test_a_whole_batch_is_left_out(made: Lives, published: Shown, tmp_path: Path) -> None:
    """The batch after it goes on after entries that nobody opened."""
    second = published.batches[made.paid][1]
    published.batches[made.paid] = [msgspec.structs.replace(second, batch=1)]
    found = findings(told(published.write(tmp_path / "public")))
    assert ("openings", made.paid) in {(rule, campaign) for rule, _, campaign, _ in found}
    assert any("openings were left out" in sentence for _, _, _, sentence in found)


def test_a_changed_amount(made: Lives, published: Shown, tmp_path: Path) -> None:
    """An opening shows another amount: it no longer opens its leaf, and its position is named."""
    position = published.change_opening(made.running, 1, 9, '"pledged",100', '"pledged",900')
    found = findings(told(published.write(tmp_path / "public")))
    assert ("openings", position, made.running, "What is shown does not open the leaf.") in found


def test_an_opening_is_used_twice(made: Lives, published: Shown, tmp_path: Path) -> None:
    """The same leaf opened in a second batch counts once, and is named."""
    first = published.batches[made.running][0]
    again = msgspec.structs.replace(
        first,
        batch=2,
        after_version=len(first.openings),
        openings=first.openings[-3:],
        totals=msgspec.structs.replace(first.totals, pledged=first.totals.pledged + 300),
    )
    published.batches[made.running].append(again)
    found = findings(told(published.write(tmp_path / "public")))
    named = {position for rule, position, _, _ in found if rule == "openings"}
    assert named >= {opening.position for opening in first.openings[-3:]}
    assert any("was opened before, in batch 1" in sentence for _, _, _, sentence in found)


def test_another_campaigns_entry(made: Lives, published: Shown, tmp_path: Path) -> None:
    """An entry shown under another campaign opens its leaf, and says whose it is."""
    stolen = published.batches.pop(made.running)[0].openings[5]
    openings = [*published.batches[made.failed][0].openings, stolen]
    published.change_batch(made.failed, 1, openings=openings, up_to_position=openings[-1].position)
    found = findings(told(published.write(tmp_path / "public")))
    sentence = f"The leaf is an entry of {made.running}."
    assert ("openings", stolen.position, made.failed, sentence) in found


def test_money_of_no_campaign(made: Lives, published: Shown, tmp_path: Path) -> None:
    """Hidden under `platform`, an entry that moves money is found."""
    batch = published.batches.pop(made.failed)[0]
    published.batches[PLATFORM] = [
        msgspec.structs.replace(batch, campaign=PLATFORM, totals=Claim(), currency="")
    ]
    found = findings(told(published.write(tmp_path / "public")))
    assert any(f"an entry of {made.failed}" in sentence for _, _, _, sentence in found)


def test_a_leaf_is_swapped(published: Shown, tmp_path: Path) -> None:
    """The published leaf is not the one under the signed root: its position is named."""
    honest = published.checkpoint()
    folder = published.write(tmp_path / "public", honest)
    published.change_leaf(42)
    entries = tile_path("entries", 0)
    (folder / entries).write_bytes(
        (published.write(tmp_path / "changed", honest) / entries).read_bytes()
    )
    found = findings(told(folder, "--key", vkey(published)))
    sentence = "The published leaf is not the one that the checkpoint covers."
    assert found == [("leaves", 42, "", sentence)]


def test_leaves_and_tiles_are_of_another_tree(published: Shown, tmp_path: Path) -> None:
    """Changed throughout, but for what was signed: the root is what it does not lead to."""
    honest = published.checkpoint()
    published.change_leaf(42)
    ((rule, _, _, sentence),) = findings(told(published.write(tmp_path / "public", honest)))
    assert rule == "root"
    assert "lead to another root than the one that is signed" in sentence


def test_a_tile_is_wrong(published: Shown, tmp_path: Path) -> None:
    """The leaves are right and a published hash is not: whose proofs it spoils is named."""
    folder = published.write(tmp_path / "public")
    tile = folder / tile_path(0, 0)
    data = bytearray(tile.read_bytes())
    data[32 * 7] ^= 1
    tile.write_bytes(bytes(data))
    ((rule, position, _, _),) = findings(told(folder))
    assert (rule, position) == ("tiles", 8)


def test_positions_out_of_order(published: Shown, tmp_path: Path) -> None:
    """Two leaves change places under a checkpoint of that tree: both say where they belong."""
    published.leaves[10], published.leaves[11] = published.leaves[11], published.leaves[10]
    found = findings(told(published.write(tmp_path / "public")))
    assert {position for rule, position, _, _ in found if rule == "positions"} == {11, 12}


def test_somebody_elses_signature(published: Shown, tmp_path: Path) -> None:
    """A checkpoint that another key signed, under the log's name, is none."""
    other = SigningKey.generate(published.key.verifier.name)
    cheat = Shown(other, published.leaves, published.batches, published.live)
    folder = cheat.write(tmp_path / "public")
    found = told(folder, "--key", vkey(published))
    assert {rule for rule, _, _, _ in findings(found)} == {"key", "checkpoint"}
    assert any("is not signed by" in sentence for _, _, _, sentence in findings(found))
    assert run(folder, "--key", vkey(published)).exit_code == 1


def test_a_page_shows_more(made: Lives, published: Shown, tmp_path: Path) -> None:
    """Of a campaign that is opened to its last entry the page may show nothing else."""
    published.show(made.paid, pledged=13_001)
    ((rule, _, campaign, sentence),) = findings(told(published.write(tmp_path / "public")))
    assert (rule, campaign) == ("live", made.paid)
    assert "pledged 13,001 and not 13,000" in sentence


def test_a_page_contradicts_itself(made: Lives, published: Shown, tmp_path: Path) -> None:
    """What waits may explain a difference, never one side of the identity alone."""
    published.show(made.running, charged=10)
    found = findings(told(published.write(tmp_path / "public")))
    assert [(rule, campaign) for rule, _, campaign, _ in found] == [("live", made.running)]


def test_more_leaves_a_campaign_than_came_in(tmp_path: Path) -> None:
    """A payout beyond what is held is found at its position, though everything adds up."""
    from app.audit.findings import Findings  # noqa: PLC0415 - this test alone looks inside
    from app.audit.public_books import Account, Books  # noqa: PLC0415 - the same
    from app.audit.public_tree import Tree  # noqa: PLC0415 - the same
    from app.transparency.public_part import Change, PublicPart  # noqa: PLC0415 - the same

    found = Findings()
    books = Books(Tree(0, MemoryTiles(), bytearray()), 0, found)
    account = Account(made := "c" * 8)
    for position, (kind, minor) in enumerate((("collected", 100), ("paid_out", 101)), 1):
        change = Change(kind, minor, 0)  # type: ignore[arg-type]  # both are kinds
        books._add(account, position, PublicPart(made, "BRL", "2026-01-01", (change,)))
    (only,) = found.listed
    assert (only.rule, only.position) == ("totals", 2)


# --- A log that wants to harm its auditor --------------------------------------------------------


def test_a_size_that_is_made_up(published: Shown, tmp_path: Path) -> None:
    """A signed size beyond all leaves ends at the first that is missing, at once."""
    huge = published.checkpoint(2**61, b"r" * 32)
    result = run(published.write(tmp_path / "public", huge), "--key", vkey(published))
    assert result.exit_code == 2
    assert "are not published" in result.output


def test_a_list_that_is_made_up(made: Lives, published: Shown, tmp_path: Path) -> None:
    """More batches than leaves, or a name that is none, are no list of openings."""
    for batches, campaign in ((10**15, made.paid), (1, "index.json"), (1, "x.p"), (0, made.paid)):
        published.listed = Index(0, [Listed(campaign, batches, batches, 1)])
        result = run(published.write(tmp_path / "public"), "--save", tmp_path / "mirror")
        assert result.exit_code == 2, (batches, campaign)
    published.listed = Index(0, [Listed(made.paid, 300, 300, 1)])
    found = findings(told(published.write(tmp_path / "public")))
    assert ("openings", None, made.paid, "Batch 3 is listed and not published.") in found


def test_words_that_steer_a_terminal(made: Lives, published: Shown, tmp_path: Path) -> None:
    """What the log says is printed without what a terminal obeys, whatever its currency."""
    batches = published.batches[made.paid]
    named = "\x1b]0;owned\x07"
    batches[0] = msgspec.structs.replace(batches[0], campaign=named, currency="\x1b[2J")
    published.live.campaigns[0] = msgspec.structs.replace(
        published.live.campaigns[0], currency="\x1b[2J", totals=Claim(pledged=5)
    )
    result = run(published.write(tmp_path / "public"))
    assert result.exit_code == 1
    assert "\x1b" not in result.output
    assert "\x07" not in result.output


def test_a_half_written_checkpoint_is_none(published: Shown, tmp_path: Path) -> None:
    """What a crash left in a mirror is not held against the log."""
    mirror = tmp_path / "mirror"
    folder = published.write(tmp_path / "public")
    told(folder, "--save", mirror)
    (mirror / "checkpoints" / "000000000300.part").write_text("half")
    assert findings(told(folder, "--save", mirror)) == []


# --- Mirrors -------------------------------------------------------------------------------------


def test_a_mirror_grows(world: Opened, tmp_path: Path) -> None:
    """Saved day after day it goes on from every checkpoint seen, and is itself an audit's place."""
    made = lives(world)
    published = shown(world)
    live, mirror = tmp_path / "public", tmp_path / "mirror"
    before = len(published.leaves)
    assert told(published.write(live), "--save", mirror)["earlier"] == 0
    world.pledge_many(made.running, 600)
    world.day_passes()
    published = shown(world)
    found = told(published.write(live), "--save", mirror)
    assert findings(found) == []
    assert found["earlier"] == 1
    assert found["key_from"] == "kept"
    assert len(published.leaves) > before + 512
    again = told(mirror)
    assert (findings(again), again["root"]) == ([], found["root"])
    assert again["campaigns"] == found["campaigns"]


def test_a_mirror_asks_only_for_what_is_new(published: Shown, tmp_path: Path) -> None:
    """Full tiles, bundles and batches are kept: the log may lose them without anybody noticing."""
    live, mirror = published.write(tmp_path / "public"), tmp_path / "mirror"
    told(live, "--save", mirror)
    for path in (tile_path(0, 0), tile_path("entries", 0)):
        (live / path).unlink()
    assert told(live, "--save", mirror)["ok"]
    assert run(live).exit_code == 2


def test_a_rolled_back_log(world: Opened, tmp_path: Path) -> None:
    """Fewer leaves than were signed before: found, and the mirror keeps the longer history."""
    made = lives(world)
    earlier = shown(world)
    world.pledge_many(made.running, 40)
    world.day_passes()
    later = shown(world)
    mirror = tmp_path / "mirror"
    told(later.write(tmp_path / "later"), "--save", mirror)
    found = told(earlier.write(tmp_path / "earlier"), "--save", mirror)
    rules = {rule for rule, _, _, _ in findings(found)}
    assert "rolled back" in rules
    assert Path(found["refused"]).is_dir()
    assert told(mirror)["signed_size"] == len(later.leaves)


def test_a_rewritten_history(world: Opened, tmp_path: Path) -> None:
    """Another history under the same key: its first difference is named, both signatures kept."""
    made = lives(world)
    published = shown(world)
    mirror = tmp_path / "mirror"
    told(published.write(tmp_path / "public"), "--save", mirror)
    world.pledge_many(made.running, 40)
    world.day_passes()
    forged = shown(world)
    forged.change_leaf(42)
    found = findings(told(forged.write(tmp_path / "forged"), "--save", mirror))
    named = {(rule, position) for rule, position, _, _ in found}
    assert ("fork", 42) in named
    assert any("signed two histories" in sentence for _, _, _, sentence in found)
    kept = sorted(path.name for path in (mirror / "checkpoints").iterdir())
    assert kept == [f"{len(published.leaves):012d}", f"{len(forged.leaves):012d}"]
    assert told(mirror)["signed_size"] == len(published.leaves)


def test_a_mirrors_own_past_contradicts_it(published: Shown, tmp_path: Path) -> None:
    """A checkpoint from elsewhere, put among those that were seen, is held to the tree, too."""
    mirror = tmp_path / "mirror"
    told(published.write(tmp_path / "public"), "--save", mirror)
    other = published.checkpoint(100, b"r" * 32)
    (mirror / "checkpoints" / "from-a-friend").write_text(other)
    ((rule, _, _, sentence),) = findings(told(mirror))
    assert rule == "fork"
    assert "from-a-friend of 100 leaves" in sentence


def test_openings_are_taken_back(made: Lives, published: Shown, tmp_path: Path) -> None:
    """What was opened once stays open: fewer batches than were kept are a finding."""
    mirror = tmp_path / "mirror"
    told(published.write(tmp_path / "public"), "--save", mirror)
    del published.batches[made.paid]
    found = findings(told(published.write(tmp_path / "less"), "--save", mirror))
    assert ("openings", made.paid) in {(rule, campaign) for rule, _, campaign, _ in found}
    assert any("were opened before" in sentence for _, _, _, sentence in found)


def test_another_key_is_shown(published: Shown, tmp_path: Path) -> None:
    """The key that was seen first is held on to."""
    mirror = tmp_path / "mirror"
    folder = published.write(tmp_path / "public")
    told(folder, "--save", mirror)
    other = SigningKey.generate(published.key.verifier.name).verifier.encode()
    (folder / "key").write_text(other)
    ((rule, _, _, _),) = findings(told(folder, "--save", mirror))
    assert rule == "key"


def test_another_logs_checkpoint_is_kept_apart(published: Shown, tmp_path: Path) -> None:
    """What the mirror's key did not sign is evidence, too, and is where the words say."""
    mirror = tmp_path / "mirror"
    told(published.write(tmp_path / "public"), "--save", mirror)
    other = SigningKey.generate(published.key.verifier.name)
    cheat = Shown(other, published.leaves, published.batches, published.live)
    folder = cheat.write(tmp_path / "cheat")
    found = told(folder, "--save", mirror)
    assert {rule for rule, _, _, _ in findings(found)} == {"key", "checkpoint"}
    kept = mirror / "refused" / "unsigned-1"
    assert found["refused"] == str(kept)
    assert (kept / "checkpoint").read_bytes() == (folder / "checkpoint").read_bytes()
    assert (kept / "key").read_text().strip() == other.verifier.encode()
    assert f"what was shown lies in {mirror / 'refused' / 'unsigned-2'}" in (
        run(folder, "--save", mirror).output
    )
    assert told(mirror)["ok"]
