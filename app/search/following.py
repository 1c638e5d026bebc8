"""Keeps the index with the views, the texts, the names and what staff picked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import Engine, select

from app.search.index import LIVE, OTHERWISE, WELL, Entry, SearchIndex, State, Words
from app.stores.content import CONTENT, DOCUMENT
from app.stores.features import FEATURES
from app.stores.people import PARTIES
from app.stores.rows import in_parts
from domain.state import Phase
from projections.page_fold import PAGES
from projections.runner import stands_at
from projections.views import Views

PAUSE_S: Final = 1.0
"""How often the views are looked at, in seconds."""

MANY: Final = 250
"""So many campaigns that changed make the next pause twice as long."""

LONGEST_PAUSE_S: Final = 3.0

QUIET_S: Final = 0.2
"""Views that do not move for so long are followed at once: there is nothing to wait for."""

LOOK_OVER_S: Final = 30.0
"""How often names and texts, which change without a fact in the log, are looked over."""

_BATCH: Final = 500
_BASIS_POINTS: Final = 10_000
_STATES: Final[dict[str, State]] = {
    Phase.LIVE: LIVE,
    Phase.SUCCEEDED: WELL,
    Phase.SETTLED: WELL,
    Phase.COMPLETED: WELL,
    Phase.FAILED: OTHERWISE,
    Phase.CANCELLED: OTHERWISE,
}
_documents: Final = msgspec.json.Decoder(dict[str, Any])
_logger = logging.getLogger(__name__)


class SearchFollower:
    """Follows for a process: in a thread of its own, or whenever somebody asks."""

    def __init__(
        self,
        index: SearchIndex,
        views: Views,
        people: Engine,
        log_id: str,
        *,
        elsewhere: bool = False,
    ) -> None:
        self.index = index
        self._views = views
        self._people = people
        self._log_id = log_id
        self._running = False
        self._elsewhere = elsewhere
        self._lock = threading.Lock()
        self._looked_over_at = 0.0
        self._blank: set[int] = set()

    def run(self, stop: threading.Event) -> None:
        """Follow until told to stop. What fails is tried again: the index can wait."""
        self._running = True
        try:
            while not stop.is_set():
                try:
                    changed = self.catch_up()
                    if time.monotonic() >= self._looked_over_at + LOOK_OVER_S:
                        self.look_over()
                    # What is sorted by may be some seconds old; what is shown is of the views.
                    self._rest(stop, min(PAUSE_S * (1 + changed / MANY), LONGEST_PAUSE_S))
                except Exception:
                    _logger.exception("the search index could not be brought up; it is tried again")
                    stop.wait(PAUSE_S)
        finally:
            self._running = False

    def _rest(self, stop: threading.Event, seconds: float) -> None:
        """Wait so long, or until views that moved have come to rest."""
        until, known, before = time.monotonic() + seconds, self.index.position(), -1
        while time.monotonic() < until and not stop.wait(QUIET_S):
            with self._views.connect_sync() as conn:
                position = stands_at(conn, self._log_id)
            if known < position == before:
                return
            before = position

    def ready(self) -> None:
        """Be up to date where no thread sees to it, of this process or (`elsewhere`) of another:
        in tests and in commands.
        """
        if not self._running and not self._elsewhere:
            self.catch_up()

    def catch_up(self) -> int:
        """Bring the index to where the views stand; return how many campaigns changed."""
        with self._lock:
            changed = 0
            with self._views.connect_sync() as conn:
                # First how far, then what: a row that is newer than this is read again next time.
                position = stands_at(conn, self._log_id)
                known = self.index.position()
                if position > known:
                    rows = conn.execute(_CHANGED.where(PAGES.c.position > known)).all()
                    for part in _parts([_entry(row) for row in rows]):
                        changed += len(part)
                        self._word(self.index.keep(part, known))
                    self.index.keep([], position)
            self.index.keep_features(self._features())
            return changed

    def look_over(self) -> None:
        """Take out texts that were taken down, and follow names that were changed or erased."""
        with self._lock:
            self._looked_over_at = time.monotonic()
            known = self.index.names()
            names = self._names({creator for creator, _, _ in known.values()})
            gone = self._gone({text for _, _, text in known.values() if text})
            anew = [
                (key, creator, text)
                for key, (creator, name, text) in known.items()
                if name != names.get(creator, "") or (text in gone and key not in self._blank)
            ]
            for part in _parts(anew):
                self._put(part, names)
            self._blank = {key for key, (_, _, text) in known.items() if text in gone}

    # --- Words -----------------------------------------------------------------------------------

    def _word(self, entries: Iterable[Entry]) -> None:
        wanted = [(entry.key, entry.creator, entry.text) for entry in entries]
        self._put(wanted, self._names({creator for _, creator, _ in wanted}))

    def _put(self, wanted: list[tuple[int, str, str]], names: dict[str, str]) -> None:
        texts = self._texts({text for _, _, text in wanted if text})
        self.index.keep_words(
            (key, names.get(creator, ""), texts.get(text, Words())) for key, creator, text in wanted
        )

    def _texts(self, hashes: set[str]) -> dict[str, Words]:
        found = {}
        for part in in_parts(sorted(hashes)):
            wanted = select(CONTENT.c.hash, CONTENT.c.body).where(
                CONTENT.c.hash.in_(part),
                CONTENT.c.media_type == DOCUMENT,
                CONTENT.c.body.is_not(None),
            )
            with self._people.connect() as connection:
                for content_hash, body in connection.execute(wanted):
                    found[content_hash] = words_of(_documents.decode(body))
        return found

    def _gone(self, hashes: set[str]) -> set[str]:
        """Which of these texts were taken down."""
        found: set[str] = set()
        for part in in_parts(sorted(hashes)):
            wanted = select(CONTENT.c.hash).where(
                CONTENT.c.hash.in_(part), CONTENT.c.body.is_(None)
            )
            with self._people.connect() as connection:
                found.update(connection.execute(wanted).scalars())
        return found

    def _names(self, creators: set[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for part in in_parts(sorted(creators)):
            wanted = select(PARTIES.c.id, PARTIES.c.display_name).where(
                PARTIES.c.id.in_(part), PARTIES.c.display_name.is_not(None)
            )
            with self._people.connect() as connection:
                found.update((row.id, row.display_name) for row in connection.execute(wanted))
        return found

    def _features(self) -> dict[str, int]:
        with self._people.connect() as connection:
            rows = connection.execute(select(FEATURES.c.campaign_id, FEATURES.c.at))
            return {row.campaign_id: row.at for row in rows}


_CHANGED: Final = select(
    PAGES.c.campaign,
    PAGES.c.campaign_id,
    PAGES.c.channel,
    PAGES.c.creator,
    PAGES.c.phase,
    PAGES.c.suspended,
    PAGES.c.launched_at,
    PAGES.c.deadline_at,
    PAGES.c.pledged_minor,
    PAGES.c.goal_minor,
    PAGES.c.backers,
    PAGES.c.text,
).where(PAGES.c.launched_at.is_not(None))


def _entry(row: Any) -> Entry:  # noqa: ANN401 - a row of _CHANGED
    return Entry(
        key=row.campaign,
        campaign_id=row.campaign_id,
        channel=row.channel,
        creator=row.creator,
        state=_STATES.get(row.phase, OTHERWISE),
        suspended=bool(row.suspended),
        launched_at=row.launched_at,
        deadline_at=row.deadline_at,
        funded_bps=row.pledged_minor * _BASIS_POINTS // row.goal_minor,
        backers=row.backers,
        text=row.text,
    )


def words_of(document: dict[str, Any]) -> Words:
    """The texts of a campaign's document, those of its translations behind its own."""
    translations = document.get("translations")
    told = [document, *(translations.values() if isinstance(translations, dict) else ())]

    def all_of(name: str) -> str:
        texts = [text.get(name) for text in told if isinstance(text, dict)]
        return "\n".join(text for text in texts if isinstance(text, str))

    def one(name: str) -> str:
        value = document.get(name)
        return value if isinstance(value, str) else ""

    return Words(
        title=all_of("title"),
        blurb=all_of("blurb"),
        story=all_of("story"),
        category=one("category"),
        language=one("language"),
    )


def _parts(rows: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]
