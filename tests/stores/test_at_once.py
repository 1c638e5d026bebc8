"""Two servers on one store, many requests at the same moment: every bound holds all the same."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from app.stores.accounts import Accounts
from app.stores.alone import Alone
from app.stores.attempts import Attempts
from app.stores.checkouts import Checkout, Checkouts
from app.stores.database import open_people
from app.stores.drafts import Draft, Drafts, StaleDraftError
from app.stores.follows import Follows
from app.stores.mail_tokens import MailToken, MailTokens
from app.stores.mails import Mails, NewMail
from app.stores.methods import PAYMENT_METHODS, PaymentMethods, UnknownPaymentMethodError
from app.stores.questions import MOST_A_DAY, Question, Questions, TooManyQuestionsError
from app.stores.repeats import Repeats
from app.stores.reports import MOST_AN_HOUR, Reports, TooManyReportsError

T = TypeVar("T")


@pytest.fixture
async def engines(engine: AsyncEngine, settings: Settings) -> AsyncIterator[list[AsyncEngine]]:
    """The store as two servers have it open."""
    other = await open_people(settings)
    yield [engine, other]
    await other.dispose()


async def at_once(calls: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    """What each call answers or raises, when all begin together."""
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_no_more_attempts_than_allowed(engines: list[AsyncEngine]) -> None:
    """Of forty tries at the same moment five are admitted, and five noted."""
    attempts = [Attempts(engine, b"s" * 32) for engine in engines]
    limits = {"a@example.org": 5, "from 10.0.0.1": 100}
    admitted = await at_once(attempts[n % 2].admit(limits, at=10 + n, since=0) for n in range(40))
    assert sorted(map(bool, admitted)) == [False] * 35 + [True] * 5
    assert await attempts[0].count("a@example.org", 0) == 5
    assert not await attempts[0].admit({"a@example.org": 5}, at=60, since=0, note_refused=True)
    assert await attempts[0].count("a@example.org", 0) == 6


async def test_no_more_questions_than_allowed(engines: list[AsyncEngine]) -> None:
    """A person who asks twenty things at once has asked five."""
    questions = [Questions(engine) for engine in engines]
    asked = await at_once(questions[n % 2].ask("c", "p", f"{n}?", at=n) for n in range(20))
    assert {type(answer) for answer in asked} == {Question, TooManyQuestionsError}
    assert len(await questions[0].of_campaign("c")) == MOST_A_DAY


async def test_a_question_of_one_id_is_asked_once(engines: list[AsyncEngine]) -> None:
    """The same request, answered by two servers at the same moment."""
    questions = [Questions(engine) for engine in engines]
    asked = await at_once(
        questions[n % 2].ask("c", "p", "?", at=1, question_id="q") for n in range(8)
    )
    assert {answer.id for answer in asked if isinstance(answer, Question)} == {"q"}
    assert [answer for answer in asked if isinstance(answer, BaseException)] == []


async def test_no_more_reports_than_allowed(engines: list[AsyncEngine]) -> None:
    """A source that sends twenty reports at once has sent five."""
    reports = [Reports(engine) for engine in engines]
    sent = await at_once(
        reports[n % 2].send(
            campaign_id=f"c-{n % 3}", channel="ch", reason="other", body="", source="s", at=n
        )
        for n in range(20)
    )
    refused = [answer for answer in sent if isinstance(answer, TooManyReportsError)]
    assert len(refused) == 20 - MOST_AN_HOUR
    assert len(await reports[0].open("ch")) == MOST_AN_HOUR


async def test_somebody_stays_on_the_staff(engines: list[AsyncEngine]) -> None:
    """Two who take each other's role at the same moment do not leave the channel alone."""
    accounts = [Accounts(engine) for engine in engines]
    for n in range(10):
        for party in ("a", "b"):
            await accounts[0].grant(party, f"ch-{n}", "staff", by="operator", at=1)
        taken = await at_once(
            accounts[k].take(party, f"ch-{n}", "staff") for k, party in enumerate(("a", "b"))
        )
        assert sorted(map(bool, taken)) == [False, True]


async def test_a_mail_is_leased_once(engines: list[AsyncEngine]) -> None:
    """Eight senders at the same moment share what is due."""
    mails = [Mails(engine) for engine in engines]
    for k in range(2):  # the second time nothing is new
        new = await mails[k].add([_mail(n) for n in range(300)], at=1)
        assert new == (300, 0)[k]
    leased = await at_once(mails[n % 2].lease(f"o-{n}", now=2, until=9, limit=60) for n in range(8))
    found = [mail.id for part in leased if isinstance(part, list) for mail in part]
    rest = await mails[0].lease("rest", now=2, until=9, limit=300)
    assert len(found) == len(set(found))
    assert len(found) + len(rest) == 300
    assert await mails[0].lease("late", now=2, until=9, limit=1) == []


async def test_mails_are_written_once(engines: list[AsyncEngine]) -> None:
    """Two who write the same mails in other orders neither hinder each other nor write two."""
    mails = [Mails(engine) for engine in engines]
    some = [_mail(n) for n in range(400)]
    added = await at_once(
        (mails[0].add(some, at=1), mails[1].add(some[::-1], at=1), mails[0].add(some, at=1))
    )
    assert sum(number for number in added if isinstance(number, int)) == 400


async def test_a_token_opens_once(engines: list[AsyncEngine]) -> None:
    """Whoever follows the link, and on whichever server: one gets in."""
    tokens = [MailTokens(engine) for engine in engines]
    token = MailToken(purpose="sign_in", party="p", mail="a@example.org")
    secret = await tokens[0].issue(token, at=1)
    used = await at_once(tokens[n % 2].use(secret, "sign_in", at=2) for n in range(8))
    assert [found for found in used if found is not None] == [token]


async def test_one_plan_and_one_method(engines: list[AsyncEngine]) -> None:
    """All who repeat a request carry out one plan; all who come back from a payment page bring one
    method.
    """
    repeats = [Repeats(engine) for engine in engines]
    plans = await at_once(
        repeats[n % 2].plan("key", b"content", _plan(b"%d" % n), at=1) for n in range(8)
    )
    assert len(set(plans)) == 1
    checkouts = [Checkouts(engine) for engine in engines]
    checkout = _checkout()
    await checkouts[0].save(checkout, at=1)
    given = await at_once(
        checkouts[n % 2].give_method(checkout, provider="bank", reference=f"r-{n}", at=2)
        for n in range(8)
    )
    async with engines[0].connect() as connection:
        kept = await connection.execute(select(func.count()).select_from(PAYMENT_METHODS))
        assert (len(set(given)), kept.scalar_one()) == (1, 1)


async def test_a_method_is_replaced_once(engines: list[AsyncEngine]) -> None:
    """The second finds nothing to replace, and keeps nothing."""
    methods = [PaymentMethods(engine) for engine in engines]
    first = await methods[0].add(party="p", provider="bank", reference="r", at=1)
    replaced = await at_once(
        methods[n % 2].replace(first, party="p", provider="bank", reference=f"r-{n}", at=2)
        for n in range(6)
    )
    (new,) = [answer for answer in replaced if isinstance(answer, str)]
    others = [answer for answer in replaced if isinstance(answer, UnknownPaymentMethodError)]
    assert len(others) == 5
    assert (await methods[1].resolve([first]))[first].id == new


async def test_a_draft_is_edited_once_at_a_revision(engines: list[AsyncEngine]) -> None:
    """Who saves over a change that they did not see is told."""
    drafts = [Drafts(engine) for engine in engines]
    draft = await drafts[0].create(channel="ch", creator="p", body={}, at=1)
    edited = await at_once(
        drafts[n % 2].edit(draft.id, revision=1, body={"n": n}, at=2) for n in range(6)
    )
    assert [answer.revision for answer in edited if isinstance(answer, Draft)] == [2]
    assert [a.revision for a in edited if isinstance(a, StaleDraftError)] == [2] * 5


async def test_asking_to_follow_at_once(engines: list[AsyncEngine]) -> None:
    """There is one follow, and everybody gets it."""
    follows = [Follows(engine) for engine in engines]
    asked = await asyncio.gather(
        *(follows[n % 2].ask("c", "A@example.org", language="en", at=n) for n in range(8))
    )
    assert len({(follow.id, follow.number) for follow in asked}) == 1


def test_alone_in_two_processes(settings: Settings, tmp_path: Path) -> None:
    """What two processes do under one name never overlaps, nor what is done within one."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    servers = [
        context.Process(target=_add_alone, args=(settings, counter, start)) for _ in range(2)
    ]
    for server in servers:
        server.start()
    for server in servers:
        server.join()
    assert [server.exitcode for server in servers] == [0, 0]
    assert counter.read_text() == "80"


def _add_alone(settings: Settings, counter: Path, start: Barrier) -> None:
    async def add(alone: Alone) -> None:
        for _ in range(10):
            async with alone.under("counting"), alone.under("more"):
                seen = int(counter.read_text())  # noqa: ASYNC240 - nobody else waits here
                await asyncio.sleep(0.001)
                counter.write_text(str(seen + 1))  # noqa: ASYNC240 - the same

    async def run() -> None:
        engine = await open_people(settings)
        alone = Alone(engine, "test")
        start.wait()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(add(alone))
        await engine.dispose()

    asyncio.run(run())


def _plan(text: bytes) -> Callable[[], Awaitable[bytes]]:
    async def make() -> bytes:
        return text

    return make


def _mail(n: int) -> NewMail:
    return NewMail(
        dedupe_key=f"k-{n}",
        party="p",
        address="a@example.org",
        language="en",
        name="news",
        subject="s",
        text="t",
    )


def _checkout() -> Checkout:
    return Checkout(
        id="c",
        pledge_id="c",
        campaign_id="campaign",
        backer="p",
        amount_minor=2**40,
        currency="JPY",
        choices=(),
        destination="",
        hold_id="",
        session="",
        url="",
    )
