"""The one place where things are built and tied together."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Final

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from app.engine import CampaignDecider, Engine, SnapshotFollower, clock_ms
from app.log import SQLiteLog, SQLiteSnapshots, TurnHooks
from app.mail.letters import Letters
from app.mail.news import News
from app.mail.post import Mail
from app.mail.running import MailRun
from app.payments.port import PaymentProvider
from app.payments.test_bank.bank import Bank
from app.payments.test_bank.notifications import deliver_due
from app.processes import Processes
from app.search import SearchFollower, SearchIndex
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
from app.stores.passkeys import Passkeys
from app.stores.people import People
from app.stores.pictures import Pictures
from app.stores.questions import Questions
from app.stores.repeats import Repeats
from app.stores.reports import Reports
from app.stores.sessions import Sessions
from app.stores.shown_names import ShownNames
from app.stores.staff_acts import StaffActs
from domain.state import Campaign
from projections.rebuild import rebuild
from projections.runner import Follower, StaleViewsError
from projections.views import Views

SNAPSHOT_PAUSE_S: Final = 30.0
BANK_PAUSE_S: Final = 0.25

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
    """

    def __init__(
        self, settings: Settings, people: AsyncEngine, clock: Callable[[], int], hooks: TurnHooks
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.log = SQLiteLog(settings.log_path, hooks)
        self.snapshots = SQLiteSnapshots(settings.data_dir / "snapshots.db")
        decider = CampaignDecider()
        self.engine: Engine[Campaign] = Engine(self.log, self.snapshots, decider, clock=clock)
        self._people = people
        self._people_sync = open_people_sync(settings.people_path)
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
        self.mail = Mail(settings, people, clock)
        self.bank = Bank(settings.test_bank_path, notification_secret=settings.test_bank_secret)
        self.provider: PaymentProvider = self.bank
        self.views = Views(settings.views_path)
        self.follower = self._current_follower()
        self.search = SearchFollower(
            SearchIndex(settings.search_path, self.log.log_id),
            self.views,
            self._people_sync,
            self.log.log_id,
        )
        self.processes = Processes(
            self.log,
            self.engine,
            self.provider,
            settings.work_path,
            methods=self._references,
            clock=clock,
            return_path=lambda campaign_id, no: f"/campaigns/{campaign_id}/pledges/{no}",
        )
        mail = self.mail
        letters = Letters(
            people, self.views, self.engine, mail.renderer, mail.links, settings.secret
        )
        self.news = News(people, self.log, letters, seen=self._seen, clock=clock)
        self.mail_run = MailRun(
            settings,
            self.log,
            self.engine,
            mail.renderer,
            mail.links,
            seen=self._seen,
            clock=clock,
        )
        self._snapshots_due = SnapshotFollower(self.log, self.snapshots, decider)
        self._stop = threading.Event()
        self.stopping = False
        """Set when the server is told to stop: answers that last for minutes end at once."""
        self._threads: list[threading.Thread] = []

    def _seen(self) -> int:
        """How far the views have read the log."""
        return self.follower.position

    def _references(self, method_ids: Collection[str]) -> dict[str, str]:
        found = resolve_methods(self._people_sync, method_ids)
        return {method_id: method.reference for method_id, method in found.items()}

    def _current_follower(self) -> Follower:
        """Follow the log with the views as they are, or made anew if another version made them."""
        log = self.log
        try:
            return Follower(log.read, self.views, log_id=log.log_id)
        except StaleViewsError:
            _logger.warning("the views are of another version: they are rebuilt from the log")
            rebuild(log.read, self.settings.views_path, log_id=log.log_id)
            return Follower(log.read, self.views, log_id=log.log_id)

    def hear_bank(self) -> int:
        """Let the test bank send its news; return how many arrived."""
        return deliver_due(self.bank, self.clock(), self._post)

    def _post(self, headers: Mapping[str, str], body: bytes) -> int:
        """Take the news as the webhook does, without the way over the network."""
        self.processes.receive(headers, body)
        return HTTPStatus.NO_CONTENT

    # --- A server's threads ----------------------------------------------------------------------

    def start(self) -> None:
        """Follow the log, run the processes, take snapshots, hear the bank; each in threads."""
        self.processes.start()
        for name, pause_s, work in (
            ("snapshots", SNAPSHOT_PAUSE_S, self._snapshots_due.take_due_snapshots),
            ("bank", BANK_PAUSE_S, self.hear_bank),
        ):
            self._thread(name, partial(self._repeat, pause_s, work))
        self._thread("views", partial(self.follower.run, self._stop, self.log.wait))
        self._thread("search", partial(self.search.run, self._stop))
        self.mail_run.start()

    def _thread(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _repeat(self, pause_s: float, work: Callable[[], int]) -> None:
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
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._threads.clear()

    async def close(self) -> None:
        """Stop, and close every file."""
        await self.stop()
        await asyncio.to_thread(self.engine.close)
        self.processes.close()
        self.search.index.close()
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
) -> AsyncIterator[Platform]:
    """Open everything in the data directory; nothing runs in the background until `start`."""
    people = await open_people(settings.people_path)
    platform = Platform(settings, people, clock, hooks or TurnHooks())
    try:
        yield platform
    finally:
        await platform.close()
