"""The transparency log of a whole platform: followed, signed, witnessed, published."""

from __future__ import annotations

import threading
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from app.engine import clock_ms
from app.keys import load_keys
from app.settings import Settings, SettingsError, load_settings
from app.transparency.checkpoint import open_checkpoint
from app.transparency.merkle import Tiles
from app.transparency.note import COSIGNATURE, NoteError, SigningKey, parse_note
from app.transparency.publishing import Publisher
from app.transparency.signing import FILE, read_signed, write_signed
from app.transparency.store import OtherTreeError
from app.wiring import Platform, open_platform
from app.witness.client import WitnessError, WitnessUnreachableError
from bench.campaigns import open_campaigns, pledges, require_done
from tests.transparency.tree_stage import TreeStage

PATIENCE_S = 30.0


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings on both databases."""
    return load_settings({"TRIBUTARY_DATABASE_URL": database_url}, data_dir=tmp_path)


@pytest.fixture
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    """An open platform without threads."""
    async with open_platform(settings) as opened:
        yield opened


def pledge(platform: Platform, count: int) -> int:
    """Let a campaign have so many pledges; return the log's last position."""
    campaigns = open_campaigns(platform.engine, 1)
    require_done(platform.engine.submit_many(pledges(campaigns, count)))
    return platform.log.last()[0]


def until(done: Callable[[], bool]) -> None:
    """Wait for something, with patience."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_a_running_platform_publishes_what_happens(platform: Platform) -> None:
    """Everything in its threads: a pledge is covered by a published checkpoint soon after."""
    log = platform.transparency
    platform.start()
    first = pledge(platform, 300)
    assert await log.wait_for_async(first, PATIENCE_S)
    second = pledge(platform, 300)
    assert log.wait_for(second, PATIENCE_S)
    newest = log.published()
    assert newest is not None
    opened = open_checkpoint(newest.note, log.log_key).checkpoint
    assert opened.root == log.store.root_at(opened.size)
    standing = log.standing()
    assert (standing.origin, standing.fault) == ("127.0.0.1:8000/log", "")
    assert standing.published == standing.signed == newest.size >= second
    assert platform.standing().tree_fault == ""
    await platform.stop()


async def test_without_threads_whoever_waits_does_the_work(platform: Platform) -> None:
    """As a command and a test do."""
    last = pledge(platform, 3)
    platform.follower.catch_up()
    assert not platform.transparency.covers(last)
    assert platform.transparency.wait_for(last, 1.0)
    assert platform.transparency.covers(last)
    last = pledge(platform, 3)
    assert await platform.transparency.wait_for_async(last, 1.0)
    assert not platform.transparency.wait_for(last + 1, 0.0)


async def test_a_process_that_answers_requests_only_reads(settings: Settings) -> None:
    """It sees what another one published, and makes nothing itself."""
    async with (
        open_platform(settings) as following,
        open_platform(settings, role="web", process="web") as answering,
    ):
        last = pledge(following, 5)
        assert not answering.transparency.wait_for(last, 0.0)
        assert following.transparency.store.size == 0
        following.transparency.catch_up()
        assert answering.transparency.wait_for(last, 5.0)
        assert answering.transparency.published() == following.transparency.published()
        assert answering.transparency.log_key == following.transparency.log_key


async def test_data_of_an_older_version_get_their_tree(settings: Settings) -> None:
    """The tree is made at the next start, of all that happened before."""
    async with open_platform(settings) as platform:
        last = pledge(platform, 20)
    async with open_platform(settings) as platform:
        platform.transparency.catch_up()
        assert platform.transparency.covers(last)


async def test_other_keys_are_refused(settings: Settings) -> None:
    """Before anything runs, in a sentence; the right ones are let in again."""
    async with open_platform(settings) as platform:
        pledge(platform, 2)
        platform.transparency.catch_up()
    folder = settings.keys_dir
    secret = (folder / "log_secret").read_text()
    (folder / "log_secret").write_text("ab" * 32)
    with pytest.raises(OtherTreeError, match="secret"):
        await opened_and_closed(settings)
    (folder / "log_secret").write_text(secret)
    (folder / "signing").rename(folder / "kept")
    with pytest.raises(SettingsError, match="signing"):
        await opened_and_closed(settings)
    assert not (folder / "signing").exists(), "none is made in its place"
    other = SigningKey.generate("127.0.0.1:8000/log").encode()
    with pytest.raises(OtherTreeError, match="signing key"):
        await opened_and_closed(msgspec.structs.replace(settings, signing_key=other))
    (folder / "kept").rename(folder / "signing")
    await opened_and_closed(settings)


async def opened_and_closed(settings: Settings) -> None:
    """Start and end."""
    async with open_platform(settings):
        pass


async def test_the_origin_stays_when_the_address_changes(settings: Settings) -> None:
    """A log is known by the name that it began with."""
    await opened_and_closed(settings)
    moved = msgspec.structs.replace(settings, public_url="https://elsewhere.example")
    async with open_platform(moved) as platform:
        assert platform.transparency.standing().origin == "127.0.0.1:8000/log"


async def test_a_fork_is_told_and_the_site_goes_on(settings: Settings) -> None:
    """Pledges are taken, nothing is signed, and health says why."""
    async with open_platform(settings) as platform:
        pledge(platform, 5)
        platform.transparency.catch_up()
        signed = platform.transparency.published()
        assert signed is not None
    path = settings.keys_dir / FILE
    known = read_signed(path)
    assert known is not None
    write_signed(path, msgspec.structs.replace(known, root="00" * 32))
    async with open_platform(settings) as platform:
        platform.start()
        until(lambda: bool(platform.transparency.fault))
        last = pledge(platform, 5)
        assert not platform.transparency.wait_for(last, 5.0)
        assert "would be a fork" in platform.standing().tree_fault
        assert platform.transparency.published() == signed
        await platform.stop()


# --- Witnesses -----------------------------------------------------------------------------------


class Witness:
    """A witness that does as a test says."""

    def __init__(self, name: str) -> None:
        self.key = SigningKey.generate(name, COSIGNATURE)
        self.verifier = self.key.verifier
        self.says: Callable[[], object] = lambda: None
        self.asked: list[int] = []
        self.at_once = 0
        self.most_at_once = 0

    def close(self) -> None:
        """Nothing is open."""

    def cosign(self, note: str, tiles: Tiles, size: int, timeout_s: float) -> str | None:
        """Cosign, unless it was told otherwise."""
        assert tiles is not None
        assert timeout_s > 0
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.says()
            self.asked.append(size)
            return self.key.sign(parse_note(note).text, 1_773_000_000)
        finally:
            self.at_once -= 1


class Witnessed:
    """A signed tree, and a publisher that asks three witnesses."""

    def __init__(self, stage: TreeStage, quorum: int) -> None:
        self.stage = stage
        self.store = stage.store()
        self.follower = stage.follower(self.store)
        self.signer = stage.signer(self.store, publish_at_once=False)
        self.witnesses = [Witness(f"{name}.example") for name in ("one", "two", "three")]
        self.publisher = self.asking(quorum)

    def asking(self, quorum: int) -> Publisher:
        """A publisher that asks these witnesses."""
        return Publisher(
            self.store,
            self.witnesses,
            quorum,
            self.stage.keys.signing.verifier,
            clock=lambda: self.stage.now,
            told=lambda: None,
        )

    def sign(self) -> int:
        """Sign a larger tree."""
        self.follower.step(10)
        signed = self.signer.step()
        assert signed is not None
        return signed.size

    def vouched(self) -> tuple[int, set[str]]:
        """What is published, and who cosigned it."""
        newest = self.store.latest_published()
        if newest is None:
            return 0, set()
        keys = [witness.verifier for witness in self.witnesses]
        opened = open_checkpoint(newest.note, self.stage.keys.signing.verifier, keys, 1)
        return opened.checkpoint.size, {one.key.name for one in opened.witnessed}

    def close(self) -> None:
        """Close everything."""
        self.publisher.close()
        self.stage.close()


@pytest.fixture
def witnessed(tmp_path: Path) -> Iterator[Witnessed]:
    """Two of three have to cosign."""
    made = Witnessed(TreeStage(tmp_path), 2)
    yield made
    made.close()


def unreachable() -> None:
    """No answer."""
    raise WitnessUnreachableError("two.example cannot be reached")


def test_enough_witnesses_publish(witnessed: Witnessed) -> None:
    """All that answer are in the published note, and each is known by what it cosigned."""
    size = witnessed.sign()
    assert witnessed.publisher.step()
    assert witnessed.vouched() == (size, {"one.example", "two.example", "three.example"})
    assert [each.size for each in witnessed.publisher.standing()] == [size] * 3
    assert not witnessed.publisher.step(), "nothing new"


def test_too_few_publish_nothing(witnessed: Witnessed) -> None:
    """What was published before stays; the trouble is named; later the newest is published."""
    first = witnessed.sign()
    assert witnessed.publisher.step()
    witnessed.sign()
    for witness in witnessed.witnesses[:2]:
        witness.says = unreachable
    assert not witnessed.publisher.step()
    assert witnessed.vouched()[0] == first
    troubles = [each.trouble for each in witnessed.publisher.standing()]
    assert troubles == ["two.example cannot be reached"] * 2 + [""]
    newest = witnessed.sign()
    for each in witnessed.publisher._witnesses:
        each.not_before = 0.0
    witnessed.witnesses[0].says = lambda: None
    assert witnessed.publisher.step()
    assert witnessed.vouched() == (newest, {"one.example", "three.example"})


def test_one_that_hangs_holds_up_nobody(
    witnessed: Witnessed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quorum publishes; the late one is asked no second time before it has answered."""
    monkeypatch.setattr("app.transparency.publishing.LINGER_S", 0.01)
    going = threading.Event()
    witnessed.witnesses[1].says = lambda: bool(going.wait(PATIENCE_S))
    for _ in range(3):
        size = witnessed.sign()
        assert witnessed.publisher.step()
        assert witnessed.vouched() == (size, {"one.example", "three.example"})
    going.set()
    until(lambda: witnessed.witnesses[1].at_once == 0)
    until(lambda: all(each.asked is None for each in witnessed.publisher._witnesses))
    size = witnessed.sign()
    assert witnessed.publisher.step()
    assert max(witness.most_at_once for witness in witnessed.witnesses) == 1
    assert witnessed.vouched()[0] == size


def test_one_that_does_not_answer_is_let_rest(witnessed: Witnessed) -> None:
    """It is not asked every second."""
    witnessed.witnesses[1].says = unreachable
    for _ in range(3):
        witnessed.sign()
        assert witnessed.publisher.step()
    standing = witnessed.publisher.standing()[1]
    assert standing.trouble
    assert not witnessed.witnesses[1].asked


def test_what_fails_in_another_way_is_told_too(witnessed: Witnessed) -> None:
    """A fault of ours with one witness does not end the round."""

    def fail() -> None:
        raise NoteError("odd")

    witnessed.witnesses[2].says = fail
    size = witnessed.sign()
    assert witnessed.publisher.step()
    assert witnessed.vouched() == (size, {"one.example", "two.example"})
    said = witnessed.publisher.standing()[2].trouble
    assert said == "three.example could not be asked: NoteError"


def test_witnesses_count_by_their_keys(tmp_path: Path) -> None:
    """Two of one name are two; one under two names is one; the log is none of its own."""
    made = Witnessed(TreeStage(tmp_path), 2)
    one, two, three = made.witnesses
    two.key = SigningKey.generate("one.example", COSIGNATURE)
    two.verifier = two.key.verifier
    made.witnesses[:] = [one, two]
    made.publisher.close()
    made.publisher = made.asking(2)
    size = made.sign()
    assert made.publisher.step()
    newest = made.store.latest_published()
    assert newest is not None
    keys = [one.verifier, two.verifier]
    opened = open_checkpoint(newest.note, made.stage.keys.signing.verifier, keys, 2)
    assert opened.checkpoint.size == size
    again = b64decode(one.key.encode().split("+", 4)[4])[1:]
    three.key = SigningKey("another.example", COSIGNATURE, again)
    three.verifier = three.key.verifier
    made.witnesses[:] = [one, three]
    made.publisher.close()
    made.publisher = made.asking(2)
    made.sign()
    assert not made.publisher.step()
    made.close()


def test_a_witness_error_is_one() -> None:
    """What the publisher catches."""
    assert issubclass(WitnessUnreachableError, WitnessError)


async def test_health_names_witnesses_that_do_not_answer(tmp_path: Path) -> None:
    """Nothing is published, and a minute later it is said who is missing."""
    key = SigningKey.generate("w.example", COSIGNATURE).verifier.encode()
    environ = {
        "TRIBUTARY_WITNESSES": f"{key} http://127.0.0.1:9",
        "TRIBUTARY_WITNESS_QUORUM": "1",
    }
    settings = load_settings(environ, data_dir=tmp_path)
    now = clock_ms()
    async with open_platform(settings, clock=lambda: now) as platform:
        pledge(platform, 3)
        platform.transparency.catch_up()
        assert platform.transparency.published() is None
        assert not platform.transparency.problem(), "it is a moment ago"
        now += 10_000
        assert platform.transparency.problem() == (
            "too few witnesses cosign (w.example): 6 events were signed, 0 are published"
        )
        assert platform.transparency.standing().is_late
        assert load_keys(settings).origin == platform.transparency.keys.origin
