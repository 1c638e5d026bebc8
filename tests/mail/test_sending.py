"""Sending: each mail once, tried again where that helps, and nothing told that is nobody's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from app.mail.running import MailRun
from app.mail.sending import GIVE_UP_MS, LEASE_MS, Sender, Server, server_of
from app.settings import Settings
from app.stores.mails import KeptMail, Mails, NewMail
from domain.terms import DAY_MS
from tests.api.running import NOW, Running
from tests.mail.smtp_sink import Sink, smtp_sink
from tests.mail.world import World

FROM = "Tributary <no-reply@tributary.test>"


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    """A mail server."""
    async with smtp_sink() as sink:
        yield sink


@pytest.fixture
def mails(running: Running) -> Mails:
    """The platform's queue."""
    return running.platform.mail.mails


def sender(running: Running, sink: Sink) -> Sender:
    """One process that sends."""
    return Sender(
        running.platform.mail.mails,
        server_of(f"smtp://127.0.0.1:{sink.port}"),
        sender=FROM,
        public_url="http://tributary.test",
        clock=running.clock,
    )


def a_mail(number: int = 1, address: str = "", off_path: str = "/mail/off/abc") -> NewMail:
    """A mail that was written."""
    return NewMail(
        dedupe_key=str(number),
        party="",
        address=address or f"reader{number}@example.org",
        language="zh-Hans",
        name="sample",
        subject="《露天电影》已达到目标",
        text="正文 · text\n",
        html="<p>正文</p>",
        off_path=off_path,
    )


async def one(mails: Mails) -> KeptMail:
    """The one mail there is."""
    (mail,) = await mails.newest()
    return mail


async def test_a_mail_is_sent_with_its_headers(running: Running, sink: Sink, mails: Mails) -> None:
    """Text and HTML, in any script, with a way to turn its kind off in one click (RFC 8058)."""
    await mails.add([a_mail()], at=NOW)
    assert await sender(running, sink).step() == 1
    (message,) = sink.messages
    assert message["To"] == "reader1@example.org"
    assert message["From"] == FROM
    assert message["Subject"] == "《露天电影》已达到目标"
    assert message["List-Unsubscribe"] == "<http://tributary.test/mail/off/abc>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = message.get_body(["plain"]), message.get_body(["html"])
    assert text is not None
    assert html is not None
    assert (text.get_content(), html.get_content()) == ("正文 · text\n", "<p>正文</p>\n")
    kept = await one(mails)
    assert kept.sent_at == NOW
    assert message["Message-ID"] == f"<{kept.id}@tributary.test>"
    assert await sender(running, sink).step() == 0


async def test_what_cannot_be_turned_off_says_nothing_of_it(
    running: Running, sink: Sink, mails: Mails
) -> None:
    """No header offers what is not there."""
    await mails.add([a_mail(off_path="")], at=NOW)
    await sender(running, sink).step()
    assert "List-Unsubscribe" not in sink.messages[0]


async def test_two_processes_send_each_mail_once(
    running: Running, sink: Sink, mails: Mails
) -> None:
    """What one has leased the other leaves alone."""
    await mails.add([a_mail(number) for number in range(50)], at=NOW)
    senders = [sender(running, sink) for _ in range(2)]

    async def send(one: Sender) -> None:
        while await one.step():
            pass

    await asyncio.gather(*map(send, senders))
    arrived = [message["To"] for message in sink.messages]
    assert len(arrived) == len(set(arrived)) == 50


async def test_after_a_kill_a_mail_is_sent_once_its_lease_is_over(
    running: Running, sink: Sink, mails: Mails
) -> None:
    """Killed with mails in hand: nobody touches them before the lease ends, then they go out."""
    await mails.add([a_mail()], at=NOW)
    assert len(await mails.lease("killed", now=NOW, until=NOW + LEASE_MS, limit=9)) == 1
    assert await sender(running, sink).step() == 0
    running.clock.now = NOW + LEASE_MS
    assert await sender(running, sink).step() == 1
    assert len(sink.messages) == 1
    # Who was thought dead and comes back writes over nothing.
    await mails.later((await one(mails)).id, "killed", due_at=NOW, error="late")
    assert (await one(mails)).last_error == ""


async def test_a_broken_way_is_tried_again(running: Running, sink: Sink, mails: Mails) -> None:
    """What was taken is sent; what the break left open goes out at the next try."""
    await mails.add([a_mail(number) for number in range(3)], at=NOW)
    sink.drop_after = 2
    worker = sender(running, sink)
    await worker.step()
    assert worker.fault
    assert [mail.sent_at for mail in await mails.newest()].count(NOW) == 1
    assert await worker.step() == 0
    running.clock.now += 60_000
    assert await worker.step() == 2
    assert worker.fault == ""
    assert [mail.sent_at is not None for mail in await mails.newest()] == [True] * 3


async def test_no_server_is_waited_for_and_given_up_in_the_end(
    running: Running, mails: Mails
) -> None:
    """Ever longer pauses, and after three days an end."""
    await mails.add([a_mail()], at=NOW)
    nowhere = Sink()
    nowhere.port = 1
    worker = sender(running, nowhere)
    pauses = []
    while (await one(mails)).failed_at is None:
        await worker.step()
        due_at = (await one(mails)).due_at
        pauses.append(due_at - running.clock.now)
        running.clock.now = max(due_at, running.clock.now + 1)
    assert pauses[:3] == [60_000, 120_000, 240_000]
    assert max(pauses) <= 6 * 3_600_000
    assert GIVE_UP_MS <= running.clock.now - NOW < GIVE_UP_MS + DAY_MS


@pytest.mark.parametrize(("code", "is_final"), [(550, True), (451, False)])
async def test_a_refusal_ends_one_mail_only(
    running: Running, sink: Sink, mails: Mails, code: int, is_final: bool
) -> None:
    """A no for good is not asked again, a no for now is; the next mail goes out in any case."""
    await mails.add([a_mail(1, "nobody@example.org"), a_mail(2)], at=NOW)
    sink.answer = lambda address: code if address.startswith("nobody") else 250
    await sender(running, sink).step()
    assert [message["To"] for message in sink.messages] == ["reader2@example.org"]
    refused = (await mails.newest())[1]
    assert (refused.failed_at is not None) is is_final
    assert str(code) in refused.last_error


async def test_an_impossible_address_holds_up_nobody(
    running: Running, sink: Sink, mails: Mails
) -> None:
    """An address that no header can hold fails by itself."""
    await mails.add([a_mail(1, "a b@@\r\nBcc: x@example.org"), a_mail(2)], at=NOW)
    await sender(running, sink).step()
    assert [message["To"] for message in sink.messages] == ["reader2@example.org"]
    assert (await mails.newest())[1].failed_at == NOW


async def test_nothing_private_is_logged_or_kept(
    running: Running, sink: Sink, mails: Mails, caplog: pytest.LogCaptureFixture
) -> None:
    """Refusals name neither the address nor what the server said."""
    caplog.set_level(logging.INFO)
    await mails.add([a_mail(1, "secret@example.org")], at=NOW)
    sink.answer = lambda _address: 550
    await sender(running, sink).step()
    assert "secret@" not in caplog.text + (await one(mails)).last_error
    assert "about that address" not in caplog.text + (await one(mails)).last_error
    assert "will not be sent" in caplog.text


@pytest.mark.parametrize(
    ("url", "server"),
    [
        (
            "smtps://u:se%40cret@mail.test:4650",
            Server("mail.test", 4650, "u", "se@cret", True, False),
        ),
        ("smtps://mail.test", Server("mail.test", 465, "", "", True, False)),
        ("smtp://u:secret@mail.test", Server("mail.test", 587, "u", "secret", False, True)),
        ("smtp://localhost:25", Server("localhost", 25, "", "", False, None)),
    ],
)
def test_a_server_is_never_spoken_to_in_the_clear(url: str, server: Server) -> None:
    """TLS from the start or by STARTTLS, but for this very machine; a repr holds no password."""
    assert server_of(url) == server
    assert not server.password or server.password not in repr(server)


async def test_what_was_said_is_removed_after_a_while(running: Running, mails: Mails) -> None:
    """Words and address go 30 days after sending; that it was sent stays."""
    await mails.add([a_mail(1), a_mail(2)], at=NOW)
    (first, second) = await mails.lease("me", now=NOW, until=NOW + 1, limit=2)
    await mails.sent(first.id, "me", at=NOW + 5 * DAY_MS)
    assert await mails.sweep(before=NOW + 5 * DAY_MS) == 1
    assert (await one(mails)).id == first.id
    gone = await mails.get(second.id)
    assert gone is not None
    assert (gone.address, gone.subject, gone.text, gone.html) == ("", "", "", "")
    assert gone.failed_at is not None
    assert await mails.sweep(before=NOW + 5 * DAY_MS + 1) == 1
    swept = await mails.get(first.id)
    assert swept is not None
    assert (swept.text, swept.sent_at) == ("", NOW + 5 * DAY_MS)


async def test_a_forgotten_person_leaves_no_mail(running: Running, mails: Mails) -> None:
    """Mails, choices and follows of a person go; everybody else's stay."""
    world = World(running)
    await running.platform.news.begin()
    campaign = await world.live()
    ada, bo = [await world.person(f"{name}@example.org") for name in ("ada", "bo")]
    for party in (ada, bo):
        await world.pledge(campaign, party)
        await running.platform.mail.choices.turn_off(party, "updates", at=NOW)
    await world.told()
    await running.platform.mail.forget([ada], "ada@example.org")
    assert {mail.address for mail in await mails.newest()} == {
        "bo@example.org",
        "creator@example.org",
    }
    assert await running.platform.mail.choices.off(ada) == frozenset()
    assert await running.platform.mail.choices.off(bo) == {"updates"}


async def test_a_server_tells_and_sends_by_itself(running: Running, sink: Sink) -> None:
    """From a pledge to the reader's mail box, in the thread that a server has for it."""
    platform = running.platform
    changed = {
        name: getattr(platform.settings, name) for name in platform.settings.__struct_fields__
    }
    settings = Settings(
        **changed | {"smtp_url": f"smtp://127.0.0.1:{sink.port}", "mail_from": FROM}
    )
    run = MailRun(
        settings,
        platform.log,
        platform.engine,
        platform.mail.renderer,
        platform.mail.links,
        seen=lambda: platform.follower.position,
        clock=running.clock,
    )
    await platform.news.begin()
    world = World(running)
    run.start()
    try:
        campaign = await world.live()
        await world.pledge(campaign, await world.person("ada@example.org"))
        async with asyncio.timeout(20):
            while len(sink.messages) < 2:  # noqa: ASYNC110 - a socket is looked at, not our code
                await asyncio.sleep(0.05)
    finally:
        await asyncio.to_thread(run.stop)
    assert {message["To"] for message in sink.messages} == {
        "creator@example.org",
        "ada@example.org",
    }
    assert run.fault == ""


async def test_health_says_that_mails_wait(running: Running) -> None:
    """Without a mail server the site is ready and says that mails wait."""
    await running.platform.mail.mails.add([a_mail(1), a_mail(2)], at=NOW)
    answer = (await running.client.get("/health/ready")).json()
    assert answer["status"] == "ready"
    assert answer["mail"] == "2 mails wait: no SMTP server is set"
