"""A small platform with its transparency log, whose days pass when the test says so."""

from __future__ import annotations

import gzip
from collections.abc import Collection
from pathlib import Path
from random import Random

from app.engine import Engine, PlatformDecider
from app.following.tail import tail_of
from app.transparency.leaf import Salts
from app.transparency.looking_up import Backers, Subjects
from app.transparency.openings import Batch, decode_batch
from app.transparency.openings_store import OpeningsStore
from app.transparency.publishing_openings import OpeningsPublisher
from app.transparency.running import Transparency, open_tree
from domain.codec import decode
from domain.terms import DAY_MS
from projections.runner import Follower
from projections.views import Views
from tests.audit.world import World
from tests.projections.history import some_history

MINUTE_MS = 60_000


class _NoKeys:
    """Nobody has a key of their own: all is salted with the log's secret."""

    def of(self, _parties: Collection[str]) -> dict[str, bytes | None]:
        """No party is ours."""
        return {}


class Opened(World):
    """The world of the audit's tests with a tree over its log, and openings of it."""

    def __init__(self, folder: Path, database_url: str = "") -> None:
        super().__init__(folder, database_url)
        self.engine.close()
        self.engine = Engine(self.log, None, PlatformDecider(), clock=lambda: self.now)
        self.views = Views(self.settings.views_path)
        self._follower = Follower(self.log.read, self.views, log_id=self.log.log_id)
        self.transparency = Transparency(
            self.settings,
            open_tree(self.settings, self.log.log_id),
            self.log,
            tail_of(self.log, with_bodies=True),
            Subjects(Backers(self.views, self.log.log_id), _NoKeys()),
            clock=lambda: self.now,
            may_follow=lambda: True,
            elsewhere=False,
        )
        self.openings = OpeningsStore(self.transparency.store.engine)
        self.salts = Salts(self.transparency.keys.log_secret)
        self.opener = self.new_opener()

    def new_opener(self) -> OpeningsPublisher:
        """One that has just been started."""
        return OpeningsPublisher(
            self.log,
            self.transparency.store,
            self.openings,
            self.salts,
            backers=Backers(self.views, self.log.log_id).of,
            clock=lambda: self.now,
        )

    def close(self) -> None:
        """Close everything."""
        self.transparency.close()
        self.views.current().close_sync()
        super().close()

    # --- Time ------------------------------------------------------------------------------------

    def sign(self) -> None:
        """Bring views and tree up to the log's end, and publish a checkpoint of it."""
        while self._follower.step():
            pass
        self.transparency.catch_up()
        assert not self.transparency.fault

    def next_day(self, days: int = 1) -> None:
        """It is soon after the midnight that ends today, or a later day."""
        self.now += (days - 1) * DAY_MS
        self.now += DAY_MS - self.now % DAY_MS + 2 * MINUTE_MS

    def open_due(self) -> int:
        """Let the opener look; return how many batches it published."""
        self.sign()
        published = self.opener.publish_due()
        assert not self.opener.fault
        return published

    def day_passes(self) -> int:
        """A day ends, and what is due is opened; return how many batches."""
        self.next_day()
        return self.open_due()

    # --- What is opened --------------------------------------------------------------------------

    def batches(self, campaign: str) -> list[Batch]:
        """Every batch of a campaign, as it is served."""
        found: list[Batch] = []
        while data := self.openings.batch(campaign, len(found) + 1):
            found.append(decode_batch(gunzip(data)))
        return found


def lived(world: Opened, seed: int) -> None:
    """Whole lives by chance, in the world's log; what was due on each day was opened then."""
    rows = [*some_history(Random(seed), campaigns=12, steps=2_000).log.rows]
    while rows:
        today = decode(rows[0].tag, rows[0].body).at // DAY_MS
        some = []
        while rows and (event := decode(rows[0].tag, rows[0].body)).at // DAY_MS == today:
            some.append((rows.pop(0), event))
        with world.log.turn() as turn:
            turn.append(
                [
                    (
                        turn.position + place,
                        turn.stream_number(event.stream),
                        event.version,
                        event.at,
                        row.tag,
                        row.body,
                    )
                    for place, (row, event) in enumerate(some, 1)
                ]
            )
        world.now = some[-1][1].at
        world.day_passes()


def gunzip(data: bytes) -> bytes:
    """What was compressed."""
    return gzip.decompress(data)
