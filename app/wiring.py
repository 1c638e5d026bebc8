"""The one place where things are built and tied together."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Final, Literal

from eventsourcing.persistence import PersistenceError
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from app.engine import Engine, PlatformDecider, SnapshotFollower, clock_ms
from app.erasing import Erasing
from app.following.seen import ForkedLogError, Witness, require_same_log
from app.following.tail import tail_of
from app.following.turn import FollowTurn
from app.following.views_watch import ViewsWatch
from app.keys import load_master
from app.log import TurnHooks
from app.log.opening import open_log, open_snapshots
from app.mail.letters import Letters
from app.mail.news import News
from app.mail.post import Mail
from app.mail.running import MailRun
from app.metrics.meter import (
    FOLLOWING,
    Meter,
    Report,
    Standing,
    read_report,
    remove_report,
    write_report,
)
from app.payments.metered import MeteredProvider
from app.payments.port import PaymentProvider
from app.payments.test_bank.bank import Bank
from app.payments.test_bank.notifications import deliver_due
from app.processes import Processes
from app.processes.work import Work, open_work
from app.search import SearchFollower, SearchIndex
from app.self_audit import SelfAudit
from app.settings import Settings
from app.stores.accounts import Accounts
from app.stores.addresses import Addresses
from app.stores.api_keys import ApiKeys
from app.stores.attempts import Attempts
from app.stores.card_tries import CardTries
from app.stores.channels import Channels
from app.stores.checkouts import Checkouts
from app.stores.content import Content
from app.stores.database import open_people, open_people_sync
from app.stores.drafts import Drafts
from app.stores.erasure import Erasure
from app.stores.features import Features
from app.stores.follows import Follows
from app.stores.mail_choices import MailChoices
from app.stores.mail_tokens import MailTokens
from app.stores.mails import Mails
from app.stores.methods import PaymentMethods, resolve_methods
from app.stores.party_keys import PartyKeys
from app.stores.passkeys import Passkeys
from app.stores.people import People
from app.stores.pictures import Pictures
from app.stores.questions import Questions
from app.stores.repeats import Repeats
from app.stores.reports import Reports
from app.stores.sessions import Sessions
from app.stores.shown_names import ShownNames
from app.stores.staff_acts import StaffActs
from app.transparency.leaf import Salts
from app.transparency.looking_up import Backers, Subjects
from app.transparency.openings_store import OpeningsStore
from app.transparency.publishing_openings import OpeningsPublisher
from app.transparency.receipts import Receipts
from app.transparency.running import Transparency, open_tree
from domain.state import Campaign
from projections.rebuild import rebuild
from projections.runner import Follower, StaleViewsError
from projections.views import Views

SWITCH_S: Final = 0.001
"""How long a thread of a web process may keep the interpreter from another.

The event loop and the engine hand it to each other at every step of the database; with Python's
own 5 ms a turn of few commands waits several times for requests that are being read meanwhile.
"""

SNAPSHOT_PAUSE_S: Final = 30.0
BANK_PAUSE_S: Final = 0.25
SWEEP_PAUSE_S: Final = 60.0
"""How often the last traces of who was erased are looked for."""
TICK_S: Final = 1.0
"""How often a process says how it is, and the follower notes what it saw."""

Role = Literal["whole", "web", "follow"]
"""What a process does: all of it, answer requests, or follow the log."""

_logger = logging.getLogger(__name__)


class Stores(Struct, frozen=True):
    """The mutable tables beside the log."""

    people: People
    accounts: Accounts
    content: Content
    drafts: Drafts
    channels: Channels
    keys: ApiKeys
    methods: PaymentMethods
    checkouts: Checkouts
    repeats: Repeats
    sessions: Sessions
    features: Features
    card_tries: CardTries
    shown_names: ShownNames
    pictures: Pictures
    addresses: Addresses
    mail_tokens: MailTokens
    mails: Mails
    mail_choices: MailChoices
    follows: Follows
    passkeys: Passkeys
    attempts: Attempts
    erasure: Erasure
    questions: Questions
    reports: Reports
    staff_acts: StaffActs


class Platform:
    """Everything that runs on one log, opened by `open_platform`.

    `clock` returns ms UTC and is the only clock of the platform; a simulation brings its own.
    A process whose role is to answer requests opens nothing that follows the log: its `follower`
    watches how far the views are that another process writes. `process` names it in metrics.
    """

    def __init__(
        self,
        settings: Settings,
        people: AsyncEngine,
        clock: Callable[[], int],
        hooks: TurnHooks,
        role: Role,
        process: str,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.role = role
        self.meter = Meter(process)
        self.log = open_log(settings.database_url, settings.log_path, hooks)
        try:
            require_same_log(settings.data_dir, self.log)
            stored_tree = open_tree(settings, self.log.log_id)
        except BaseException:
            self.log.close()
            raise
        self.fork = ""
        """Why the log is not the one that was seen here; empty while it is."""
        self.snapshots = open_snapshots(settings.database_url, settings.data_dir / "snapshots.db")
        decider = PlatformDecider()
        self.engine: Engine[Campaign] = Engine(
            self.log, self.snapshots, decider, clock=clock, observer=self.meter
        )
        self._people = people
        self._people_sync = open_people_sync(settings)
        self.stores = Stores(
            people=People(people),
            accounts=Accounts(people),
            content=Content(people),
            drafts=Drafts(people),
            channels=Channels(people),
            keys=ApiKeys(people),
            methods=PaymentMethods(people),
            checkouts=Checkouts(people),
            repeats=Repeats(people),
            sessions=Sessions(people),
            features=Features(people),
            card_tries=CardTries(people),
            shown_names=ShownNames(people),
            pictures=Pictures(people),
            addresses=Addresses(people),
            mail_tokens=MailTokens(people),
            mails=Mails(people),
            mail_choices=MailChoices(people),
            follows=Follows(people),
            passkeys=Passkeys(people),
            attempts=Attempts(people, settings.secret),
            erasure=Erasure(people),
            questions=Questions(people),
            reports=Reports(people),
            staff_acts=StaffActs(people),
        )
        self.erasing = Erasing(
            settings,
            people,
            self.log,
            self.engine.submit_async,
            clock,
            stored_tree.keys.log_secret,
        )
        self.mail = Mail(settings, people, clock)
        self.bank = Bank(settings.test_bank_path, notification_secret=settings.test_bank_secret)
        self.provider: PaymentProvider = MeteredProvider(self.bank, self.meter)
        self.views = Views(settings.views_path)
        self._tail = tail_of(self.log, with_bodies=role != "web")
        self.follower = self._watch() if role == "web" else self._current_follower()
        self.search = SearchFollower(
            SearchIndex(settings.search_path, self.log.log_id),
            self.views,
            self._people_sync,
            self.log.log_id,
            elsewhere=role == "web",
        )
        self._turn = FollowTurn(settings.database_url, self.log.log_id)
        self.party_keys = PartyKeys(self._people_sync, load_master(settings))
        backers = Backers(self.views, self.log.log_id)
        self.transparency = Transparency(
            settings,
            stored_tree,
            self.log,
            self._tail,
            Subjects(backers, self.party_keys),
            clock=clock,
            may_follow=self._turn.is_ours,
            elsewhere=role == "web",
        )
        tree, secret = self.transparency.store, self.transparency.keys.log_secret
        self.receipts = Receipts(self.log, tree, secret, self.party_keys.of)
        self.openings = OpeningsStore(self.transparency.store.engine)
        self.opener = OpeningsPublisher(
            self.log,
            self.transparency.store,
            self.openings,
            Salts(self.transparency.keys.log_secret),
            backers=backers.of,
            clock=clock,
            may_follow=self._turn.is_ours,
        )
        self.processes = Processes(
            self.log,
            self.engine,
            self.provider,
            Work(open_work(settings)),
            methods=self._references,
            clock=clock,
            return_path=lambda campaign_id, no: f"/campaigns/{campaign_id}/pledges/{no}",
            may_follow=self._turn.is_ours,
            facts=self._tail,
        )
        mail = self.mail
        letters = Letters(
            people, self.views, self.engine, mail.renderer, mail.links, settings.secret
        )
        self.news = News(people, self.log, letters, seen=self._seen, clock=clock, facts=self._tail)
        self.mail_run = MailRun(
            settings,
            self.log,
            self.engine,
            mail.renderer,
            mail.links,
            seen=self._seen,
            clock=clock,
            may_follow=self._turn.is_ours,
            facts=self._tail,
        )
        self._snapshots_due = SnapshotFollower(self.log, self.snapshots, decider)
        self._self_audit = SelfAudit(settings, self._turn.is_ours)
        self._stop = threading.Event()
        self.stopping = False
        """Set when the server is told to stop: answers that last for minutes end at once."""
        self._threads: list[threading.Thread] = []
        self._witness = Witness(settings.data_dir, self.log)
        self._trouble = ""

    @property
    def people(self) -> AsyncEngine:
        """The database of the stores beside the log."""
        return self._people

    def _seen(self) -> int:
        """How far the views have read the log."""
        return self.follower.position

    def _references(self, method_ids: Collection[str]) -> dict[str, str]:
        found = resolve_methods(self._people_sync, method_ids)
        return {method_id: method.reference for method_id, method in found.items()}

    def _watch(self) -> ViewsWatch:
        return ViewsWatch(self.views, self.log.log_id)

    def _current_follower(self) -> Follower:
        """Follow the log with the views as they are, or made anew if another version made them."""
        log = self.log
        try:
            return Follower(self._tail, self.views, log_id=log.log_id)
        except StaleViewsError:
            _logger.warning("the views are of another version: they are rebuilt from the log")
            rebuild(self._tail, self.settings.views_path, log_id=log.log_id)
            return Follower(self._tail, self.views, log_id=log.log_id)

    def hear_bank(self) -> int:
        """Let the test bank send its news; return how many arrived."""
        return deliver_due(self.bank, self.clock(), self._post)

    def _post(self, headers: Mapping[str, str], body: bytes) -> int:
        """Take the news as the webhook does, without the way over the network."""
        self.processes.receive(headers, body)
        return HTTPStatus.NO_CONTENT

    async def erase_person(self, parties: Collection[str], mail: str) -> dict[str, int]:
        """Erase a person, known by all of these ids and this address; return where the log says so.

        Their API keys end at once in the memory of this process, too.
        """
        for party in parties:
            for key in await self.stores.keys.of_owner(party):
                await self.stores.keys.revoke(key.id, at=self.clock())
        return await self.erasing.erase(parties, mail)

    def sweep(self) -> bool:
        """Finish what erasures have left to do: facts that the log did not take, and the last
        traces in our files; whether all are gone.
        """
        self.erasing.tell_late(self._people_sync, self.engine.submit)
        return self.erasing.sweep(self.search.look_over)

    # --- A server's threads ----------------------------------------------------------------------

    def start(self) -> None:
        """Follow the log, run the processes, take snapshots, hear the bank; each in threads.

        A process that answers requests only says how it is.
        """
        self._tick()
        self._thread("tick", partial(self._repeat, TICK_S, self._tick))
        if self.role == "web":
            sys.setswitchinterval(SWITCH_S)
            return
        self.processes.start()
        for name, pause_s, work in (
            ("snapshots", SNAPSHOT_PAUSE_S, self._snapshots_due.take_due_snapshots),
            ("bank", BANK_PAUSE_S, self.hear_bank),
            ("erased", SWEEP_PAUSE_S, self.sweep),
        ):
            self._thread(name, partial(self._repeat, pause_s, work))
        self._thread("views", partial(self.follower.run, self._stop, self.log.wait))
        self._thread("search", partial(self.search.run, self._stop))
        self.transparency.start()
        self._thread("openings", partial(self.opener.run, self._stop))
        self._thread("audit", partial(self._self_audit.run, self._stop))
        self.mail_run.start()

    def _thread(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _tick(self) -> None:
        """Note what was seen of the log, and say how this process is."""
        try:
            if self.role != "web":
                self._witness.look()
                self.transparency.look_after()
            self._tell_trouble("")
        except ForkedLogError as fault:
            if not self.fork:
                _logger.critical("%s", fault)
            self.fork = str(fault)
        except (PersistenceError, OSError) as fault:
            self._tell_trouble(f"what was seen of the log cannot be noted: {type(fault).__name__}")
        with suppress(OSError):  # a full disk, of which the log itself tells better
            write_report(self.settings.data_dir, self.report())

    def _tell_trouble(self, trouble: str) -> None:
        """Say once what is wrong, not every second."""
        if trouble and trouble != self._trouble:
            _logger.warning("%s", trouble)
        self._trouble = trouble

    def report(self) -> Report:
        """What this process counted, and where it follows, how that stands."""
        standing = None if self.role == "web" else self.standing()
        return self.meter.report(
            waiting=self.engine.waiting, turned_away=self.engine.turned_away, standing=standing
        )

    def standing(self) -> Standing:
        """How what follows the log stands, in whichever process of this machine."""
        if self.role == "web":
            report = read_report(self.settings.data_dir, FOLLOWING)
            if report is None or report.standing is None:
                nobody = "no process follows the log"
                return Standing(nobody, nobody, nobody, tree_fault=nobody)
            return report.standing
        fault = self.follower.fault
        return Standing(
            "" if fault is None else f"{type(fault).__name__}: {fault}",
            self.processes.fault,
            self.mail_run.fault,
            self.fork,
            self._snapshots_due.position,
            self.transparency.problem() or self.opener.fault,
            bool(self.transparency.fault),
        )

    def _repeat(self, pause_s: float, work: Callable[[], object]) -> None:
        while not self._stop.wait(pause_s):
            try:
                work()
            except Exception:
                _logger.exception("a background task failed; it is tried again")

    async def stop(self) -> None:
        """End the threads, each after what it is in the midst of."""
        self._stop.set()
        await asyncio.to_thread(self.processes.stop)
        await asyncio.to_thread(self.mail_run.stop)
        await asyncio.to_thread(self.transparency.stop)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        if self._threads:
            remove_report(self.settings.data_dir, self.meter.process)
        self._threads.clear()

    async def close(self) -> None:
        """Stop, and close every file."""
        await self.stop()
        await asyncio.to_thread(self.engine.close)
        self.processes.close()
        self.transparency.close()
        self._turn.close()
        self.search.index.close()
        if isinstance(self.follower, ViewsWatch):
            self.follower.close()
        await self.views.close()
        self.bank.close()
        self.snapshots.close()
        self.log.close()
        self._people_sync.dispose()
        await self._people.dispose()


@asynccontextmanager
async def open_platform(
    settings: Settings,
    *,
    clock: Callable[[], int] = clock_ms,
    hooks: TurnHooks | None = None,
    role: Role = "whole",
    process: str = FOLLOWING,
) -> AsyncIterator[Platform]:
    """Open what a process of this role needs; nothing runs in the background until `start`.

    Raises ForkedLogError where the log is not the one that was seen in this data directory.
    """
    people = await open_people(settings)
    try:
        platform = Platform(settings, people, clock, hooks or TurnHooks(), role, process)
    except BaseException:
        await people.dispose()
        raise
    try:
        # Before anybody is served: a restored copy may hold who asked to be forgotten.
        await platform.erasing.finish()
        yield platform
    finally:
        await platform.close()
