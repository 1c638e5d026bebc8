"""The mails of a server: a thread with a loop of its own, which follows, reminds, sends, sweeps.

A loop of its own, with connections of its own, so that a slow mail server or a campaign with many
backers never holds up a page.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Final

from app.log import UnreadableEvent
from app.mail.letters import Engine, Letters
from app.mail.links import Links
from app.mail.news import Log, News
from app.mail.reminders import Reminders
from app.mail.rendering import Renderer
from app.mail.sending import Sender, server_of
from app.settings import Settings
from app.stores.database import open_people
from app.stores.follows import Follows
from app.stores.mails import Mails
from domain.terms import DAY_MS
from projections.reading import Facts
from projections.views import Views

NEWS_PAUSE_S: Final = 0.5
SEND_PAUSE_S: Final = 1.0
REMIND_PAUSE_S: Final = 30.0
SWEEP_PAUSE_S: Final = 3_600.0
AFTER_FAULT_S: Final = 5.0

KEPT_MS: Final = 30 * DAY_MS
"""How long what a mail says, and to whom, is kept after it was sent."""

_logger = logging.getLogger(__name__)


class MailRun:
    """Runs the mails of one platform from `start` to `stop`.

    `seen` returns how far the views have read the log, `clock` ms UTC, `may_follow` whether news
    are to be told here; `facts` is what the followers of a process read the log through.
    """

    def __init__(  # noqa: PLR0913 - everything outside comes in here, by name
        self,
        settings: Settings,
        log: Log,
        engine: Engine,
        renderer: Renderer,
        links: Links,
        *,
        seen: Callable[[], int],
        clock: Callable[[], int],
        may_follow: Callable[[], bool] = lambda: True,
        facts: Facts | None = None,
    ) -> None:
        self._may_follow = may_follow
        self._facts = facts
        self._settings = settings
        self._log = log
        self._engine = engine
        self._renderer = renderer
        self._links = links
        self._seen = seen
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = threading.Event()
        self._stop: asyncio.Event | None = None
        self.faults: dict[str, str] = {}
        """What went wrong last, by the name of the work; empty where all is well."""

    @property
    def fault(self) -> str:
        """Why mails stand still; empty while they do not."""
        return next(iter(self.faults.values()), "")

    def start(self) -> None:
        """Begin; doing it again changes nothing."""
        if self._thread is None:
            self._ended.clear()
            self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after what is under way; a mail that is being sent is sent."""
        thread, self._thread = self._thread, None
        self._ended.set()
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                asyncio.run(self._serve())
            except Exception:
                _logger.exception("mails stand still; they are begun anew")
                self._ended.wait(AFTER_FAULT_S)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        people = await open_people(self._settings)
        views = Views(self._settings.views_path)
        try:
            letters = Letters(
                people, views, self._engine, self._renderer, self._links, self._settings.secret
            )
            news = News(
                people, self._log, letters, seen=self._seen, clock=self._clock, facts=self._facts
            )
            await news.begin()
            mails = Mails(people)
            works = {
                "news": (NEWS_PAUSE_S, lambda: self._tell(news)),
                "reminders": (REMIND_PAUSE_S, Reminders(people, letters, self._clock).step),
                "sweep": (SWEEP_PAUSE_S, lambda: self._sweep(mails, Follows(people))),
            }
            if self._settings.smtp_url and not self._settings.demo:
                sender = Sender(
                    mails,
                    server_of(self._settings.smtp_url),
                    sender=self._settings.sender,
                    public_url=self._settings.public_url,
                    clock=self._clock,
                )
                works["sending"] = (SEND_PAUSE_S, sender.step)
            async with asyncio.TaskGroup() as tasks:
                for name, (pause_s, work) in works.items():
                    tasks.create_task(self._repeat(name, pause_s, work))
        finally:
            await views.close()
            await people.dispose()

    async def _repeat(self, name: str, pause_s: float, work: Callable[[], Awaitable[int]]) -> None:
        """Do a work again and again: at once while there is more of it, else after a pause."""
        assert self._stop is not None, "it is made before the works are"
        while not self._stop.is_set() and not self._ended.is_set():
            rest_s = pause_s
            try:
                if await work() and name == "sending":
                    rest_s = 0.0
                self.faults.pop(name, None)
            except UnreadableEvent as fault:
                if self.faults.get(name) != str(fault):
                    _logger.error("mails stop following: %s", fault)  # noqa: TRY400 - it says where
                self.faults[name] = str(fault)
                rest_s = AFTER_FAULT_S
            except Exception as fault:
                _logger.exception("mails: %s failed; it is tried again", name)
                self.faults[name] = type(fault).__name__
                rest_s = AFTER_FAULT_S
            try:
                async with asyncio.timeout(rest_s):
                    await self._stop.wait()
            except TimeoutError:
                continue

    async def _tell(self, news: News) -> int:
        """Tell the news, unless another machine does."""
        return await news.catch_up() if await asyncio.to_thread(self._may_follow) else 0

    async def _sweep(self, mails: Mails, follows: Follows) -> int:
        before = self._clock() - KEPT_MS
        return await mails.sweep(before=before) + await follows.sweep(before=before)
