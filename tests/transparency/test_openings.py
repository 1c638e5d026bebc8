"""What is opened, when, and that it opens what the leaves committed to."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.log import decode_row
from app.transparency import publishing_openings
from app.transparency.leaf import commit
from app.transparency.openings import (
    MOST_OPENINGS,
    NUMBERS,
    PLATFORM,
    Batch,
    Opening,
    decode_batch,
    decode_index,
    decode_live,
)
from app.transparency.openings_store import AlreadyOpenedError, Standing
from app.transparency.public_part import Totals, parse_public_part
from app.transparency.publishing_openings import LeafDiffersError
from domain import commands as c
from domain.figures import Figures, apply
from domain.terms import DAY_MS
from projections.page_fold import PAGES
from projections.runner import Follower
from projections.views import Views
from tests.transparency.openings_stage import MINUTE_MS, Opened, lived

NAMES = {"pledges": "pledges"} | {name: f"{name}_minor" for name in NUMBERS if name != "pledges"}


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[Opened]:
    """A platform with a tree; log and tree in both stores in turn."""
    made = Opened(tmp_path, database_url)
    yield made
    made.close()


@pytest.fixture
def in_files(tmp_path: Path) -> Iterator[Opened]:
    """The same in files."""
    made = Opened(tmp_path)
    yield made
    made.close()


def check(world: Opened, campaign: str) -> list[Batch]:
    """Each batch opens its leaves, goes on from the one before, and claims what was true then."""
    batches = world.batches(campaign)
    rows = world.log.read_stream(f"campaign:{campaign}")
    entries = 0
    totals = Totals()
    for batch in batches:
        assert batch.after_version == entries
        positions = [opening.position for opening in batch.openings]
        assert positions == [row.position for row in rows[entries : entries + len(positions)]]
        assert batch.up_to_position == positions[-1]
        for opening in batch.openings:
            leaf = world.transparency.store.leaf(opening.position - 1)
            public = opening.public.encode()
            assert commit(base64.b64decode(opening.salt), public) == leaf.public
            totals.add(parse_public_part(public))
        entries += len(positions)
        figures = Figures()
        for row in rows[:entries]:
            apply(figures, decode_row(row))
        for name in NUMBERS:
            assert getattr(batch.totals, name) == getattr(figures, NAMES[name]), name
            assert getattr(batch.totals, name) == getattr(totals, name), name
    return batches


def test_five_backers_are_waited_for(world: Opened) -> None:
    """Four backers' entries wait, however many days; with the fifth all of them are opened."""
    campaign = world.launch()
    for amount in (100, 200, 300, 400):
        world.pledge(campaign, amount)
    for _ in range(3):
        assert world.day_passes() == 0
    world.pledge(campaign, 500)
    assert world.open_due() == 0, "today is not over"
    assert world.day_passes() == 1
    (batch,) = check(world, campaign)
    assert batch.totals.pledged == 1_500
    assert batch.totals.pledges == 5
    assert world.day_passes() == 0, "nothing more has happened"


def test_five_pledges_of_one_backer_are_not_five_backers(world: Opened) -> None:
    """Who pledges five times is one, and is one again when the five are charged."""
    campaign, backer = world.launch(), "11111111-1111-4111-8111-111111111111"
    for number in range(5):
        world.do(
            c.MakePledge,
            campaign,
            f"backer:{backer}",
            pledge_id=_id(number),
            backer=backer,
            amount_minor=1_000,
            currency="BRL",
            choices=(),
            payment_method=_id(number),
        )
    assert world.day_passes() == 0
    for _ in range(4):
        world.pledge(campaign, 2_000)
    assert world.day_passes() == 1
    world.now += 31 * DAY_MS
    world.do(c.CloseCampaign, campaign)
    for no in (1, 2, 3, 4, 5):
        world.collect(campaign, no, 1_000)
    assert world.day_passes() == 0
    for no in (6, 7, 8, 9):
        world.collect(campaign, no, 2_000)
    assert world.day_passes() == 1
    check(world, campaign)


def _id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def test_later_facts_count_for_the_backers_of_their_pledges(world: Opened) -> None:
    """Charges name a number; four of them are of four backers, and wait for the fifth."""
    campaign = world.launch()
    for _ in range(6):
        world.pledge(campaign, 2_000)
    assert world.day_passes() == 1
    world.now += 31 * DAY_MS
    world.do(c.CloseCampaign, campaign)
    for no in (1, 2, 3, 4):
        world.collect(campaign, no, 2_000)
    assert world.day_passes() == 0
    world.collect(campaign, 5, 2_000)
    assert world.day_passes() == 1
    _, second = check(world, campaign)
    assert second.totals.charged == 10_000


def test_the_end_of_a_campaign_opens_the_rest(world: Opened) -> None:
    """Two backers: nothing is opened while it goes on, everything when it is completed."""
    campaign = world.succeed(6_000, 5_000)
    assert world.day_passes() == 0
    world.pay_out(campaign)
    assert world.day_passes() == 1
    (batch,) = check(world, campaign)
    assert batch.totals.paid + batch.totals.fees == 11_000
    assert batch.totals.held == 0
    assert world.openings.of(campaign).standing == Standing(
        world.openings.of(campaign).standing.totals, "BRL", ended=True
    )


def test_a_failed_campaign_is_opened_once_everything_went_back(world: Opened) -> None:
    """One backer was charged: the entries wait for the refund."""
    campaign = world.launch(collect_at_pledge=True)
    world.pledge(campaign, 700)
    world.collect(campaign, 1, 700)
    world.now += 31 * DAY_MS
    world.do(c.CloseCampaign, campaign)
    assert world.day_passes() == 0, "BRL 7.00 are still held"
    world.refund(campaign, 1, 700)
    assert world.day_passes() == 1
    (batch,) = check(world, campaign)
    assert (batch.totals.charged, batch.totals.returned, batch.totals.held) == (700, 700, 0)


def test_nothing_is_opened_that_no_published_checkpoint_covers(world: Opened) -> None:
    """The tree is behind the log: what is due waits, and is opened when a checkpoint is there."""
    campaign = world.launch()
    world.sign()
    for _ in range(5):
        world.pledge(campaign, 100)
    world.next_day()
    assert world.opener.publish_due() == 0
    assert world.batches(campaign) == []
    world.sign()
    assert world.opener.publish_due() == 1
    check(world, campaign)


def test_large_openings_are_cut(world: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch has more openings than it may; each claims the numbers at its own end."""
    monkeypatch.setattr(publishing_openings, "MOST_OPENINGS", 10)
    monkeypatch.setattr(publishing_openings, "PAGE", 7)
    campaign = world.launch()
    world.pledge_many(campaign, 32)
    assert world.day_passes() == 4
    assert [len(batch.openings) for batch in check(world, campaign)] == [10, 10, 10, 5]
    assert MOST_OPENINGS == 5_000


def test_what_was_published_never_changes(world: Opened) -> None:
    """A new start publishes nothing again and changes no byte; nothing can take its place."""
    campaign = world.launch()
    world.pledge_many(campaign, 5)
    world.day_passes()
    before = world.openings.batch(campaign, 1)
    world.opener = world.new_opener()
    assert world.open_due() == 0
    world.pledge_many(campaign, 6)
    assert world.day_passes() == 1
    assert world.openings.batch(campaign, 1) == before
    (first, _) = check(world, campaign)
    with pytest.raises(AlreadyOpenedError):
        world.openings.add(first, Standing(), 0)


def test_an_opening_that_opens_nothing_is_not_published(world: Opened) -> None:
    """Another log secret would give other salts: nothing is published, and it is said."""
    campaign = world.launch()
    world.pledge_many(campaign, 5)
    world.next_day()
    world.sign()
    world.salts = type(world.salts)(b"another secret, of 32 bytes, yes")
    opener = world.new_opener()
    assert opener.publish_due() == 0
    assert "position 1:" in opener.fault
    assert world.batches(campaign) == []
    assert str(LeafDiffersError(1)) in opener.fault
    world.salts = type(world.salts)(world.transparency.keys.log_secret)
    assert world.new_opener().publish_due() == 1, "the next start opens it"


def test_quiet_campaigns_are_not_looked_at(
    in_files: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many campaigns only those are read of which something happened since the last day."""
    world = in_files
    quiet = [world.launch() for _ in range(20)]
    busy = world.launch()
    world.pledge_many(busy, 5)
    assert world.day_passes() == 1
    world.pledge_many(busy, 5)
    read: list[str] = []
    original = world.log.read_stream

    def watched(stream: str, after_version: int = 0, limit: int | None = None) -> object:
        read.append(stream)
        return original(stream, after_version, limit)

    world.sign()
    world.next_day()
    monkeypatch.setattr(world.log, "read_stream", watched)
    assert world.opener.publish_due() == 1
    assert set(read) == {f"campaign:{busy}"}
    assert quiet


def test_the_end_of_a_day_is_found(in_files: Opened) -> None:
    """Entries of today stay closed, wherever in the log the day began."""
    world = in_files
    campaign = world.launch()
    world.pledge_many(campaign, 7)
    world.next_day()
    yesterday = world.log.last()[0]
    world.pledge_many(campaign, 9)
    assert world.open_due() == 1
    (batch,) = check(world, campaign)
    assert batch.up_to_position == yesterday


def test_the_list_says_what_there_is(world: Opened) -> None:
    """Batches, entries and positions by campaign; how far all that was due is opened."""
    one, other = world.launch(), world.launch()
    world.pledge_many(one, 5)
    world.pledge(other, 100)
    world.day_passes()
    world.pledge_many(one, 5)
    world.day_passes()
    index = world.openings.index(world.log.log_id)
    assert index.position == world.log.last()[0]
    (listed,) = index.campaigns
    assert (listed.campaign, listed.batches, listed.entries) == (one, 2, 13)
    assert listed.up_to_position == world.batches(one)[-1].up_to_position


@pytest.mark.parametrize("seed", range(3))
def test_claims_are_what_the_pages_showed(
    in_files: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Whatever happens to campaigns: each batch claims what the page showed at its position."""
    monkeypatch.setattr(publishing_openings, "FEWEST_BACKERS", 1)
    lived(in_files, seed)
    index = in_files.openings.index(in_files.log.log_id)
    claims = sorted(
        (batch.up_to_position, batch.campaign, batch.totals)
        for listed in index.campaigns
        if listed.campaign != PLATFORM
        for batch in check(in_files, listed.campaign)
    )
    assert len(claims) > 10
    views = Views(tmp_path / "at_their_positions.db")
    follower = Follower(in_files.log.read, views, log_id=in_files.log.log_id)
    for position, campaign, totals in claims:
        while follower.position < position:
            follower.step(position - follower.position)
        with views.connect_sync() as connection:
            query = select(PAGES).where(PAGES.c.campaign_id == campaign)
            page = connection.execute(query).mappings().one()
        for name in NUMBERS:
            assert page[NAMES[name]] == getattr(totals, name), (position, name)
    views.current().close_sync()


def test_the_documented_formats_are_read() -> None:
    """The examples of docs/formats.md are what the readers take, with every field described."""
    page = (Path(__file__).parents[2] / "docs/formats.md").read_text()
    part = page[page.index("## Openings") : page.index("## The witness")]
    batch, index, live = re.findall(r"```json\n(.*?)```", part, re.DOTALL)
    shown = decode_batch(batch.encode())
    assert shown.totals.reconciles
    assert decode_index(index.encode()).campaigns[0].batches == shown.batch
    assert decode_live(live.encode()).campaigns[0].campaign == shown.campaign
    for name in (*Batch.__struct_fields__[2:], *Opening.__struct_fields__):
        assert f"| `{name}` |" in part, name
    assert f"at most {MOST_OPENINGS:,}" in part


def test_the_platforms_own_entries_wait_for_five_people(world: Opened) -> None:
    """Erasures are opened, without a name, once those of five people wait; the ids of one person
    are erased together and count as one.
    """
    campaign = world.launch()
    for number in range(10, 15):
        _erase(world, number)
    for number in range(3):
        world.now += MINUTE_MS
        _erase(world, number)
    assert world.day_passes() == 0
    _erase(world, 4)
    world.pledge(campaign, 100)
    assert world.day_passes() == 1
    (batch,) = world.batches(PLATFORM)
    assert (batch.campaign, batch.after_version, batch.currency) == (PLATFORM, 0, "")
    for opening in batch.openings:
        part = parse_public_part(opening.public.encode())
        assert (part.campaign, part.currency, part.changes) == ("", "", ())
    data = gzip.decompress(world.openings.batch(PLATFORM, 1) or b"")
    assert not any(_id(number).encode() in data for number in (*range(5), *range(10, 15)))
    _erase(world, 5)
    assert world.day_passes() == 0, "one more waits again"


def _erase(world: Opened, number: int) -> None:
    party = _id(number)
    world.engine.submit(c.EraseSubject(by="system:erasure", command_id=_id(number), party=party))
