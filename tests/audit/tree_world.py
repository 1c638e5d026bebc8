"""A small platform with a transparency log: people with keys, leaves, checkpoints, a witness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from app.audit.tree_place import Outside, TreePlace, tree_of
from app.audit.verify import Verified, verify
from app.keys import Keys, fingerprint, load_keys
from app.stores.database import open_people_sync
from app.stores.party_keys import PartyKeys, master_of
from app.stores.people import PARTIES, new_party
from app.transparency.follower import LeafFollower
from app.transparency.looking_up import Backers, Subjects
from app.transparency.sealing import NO_SEAL, seals_of
from app.transparency.signing import Signer
from app.transparency.store import TransparencyStore, open_transparency
from domain import commands as c
from projections.reading import Tail
from projections.views import Views
from tests.audit.world import World, new_id


class TreeWorld(World):
    """A world whose backers are people with keys, and whose events become leaves.

    `outside` are checkpoints as somebody else keeps them, taken whenever one is signed.
    """

    def __init__(self, folder: Path, database_url: str = "") -> None:
        super().__init__(folder, database_url)
        self.people = open_people_sync(self.settings)
        self.keys: Keys = load_keys(self.settings)
        self.tree: TransparencyStore = open_transparency(self.settings)
        signing = self.keys.signing
        self.tree.begin(
            self.log.log_id,
            self.keys.origin,
            signing.verifier.encode(),
            fingerprint(self.keys.log_secret),
        )
        self.outside: list[str] = []
        self.vkey = signing.verifier.encode()
        self.signer = Signer(
            self.tree,
            signing,
            self.settings.keys_dir,
            clock=lambda: self.now,
            last=lambda: self.log.last()[0],
            may_sign=lambda: True,
            told=lambda: None,
            publish_at_once=True,
        )

    def close(self) -> None:
        """Close everything."""
        super().close()
        self.tree.close()
        self.people.dispose()

    def backer(self) -> str:
        """A new person."""
        with self.people.begin() as connection:
            row = new_party("backer", self.now, master_of(self.people))
            connection.execute(insert(PARTIES), [row])
        return str(row["id"])

    def pledge(self, campaign_id: str, amount_minor: int, *rewards: str, **facts: str) -> Any:  # noqa: ANN401 - as the world's
        """A new backer, who is a person of ours, pledges."""
        facts.setdefault("backer", self.backer())
        return super().pledge(campaign_id, amount_minor, *rewards, **facts)

    def erase(self, party: str, *, recorded: bool = True, sealed: bool = True) -> None:
        """Destroy a person's key; without `recorded` the log does not say so, without `sealed` it
        says so without a seal.
        """
        with self.people.begin() as connection:
            changed = connection.execute(
                update(PARTIES).where(PARTIES.c.id == party).values(key=None)
            )
            assert changed.rowcount == 1
        if recorded:
            found = seals_of(self.log, self.keys.log_secret, [party])[party]
            up_to, seal = found if sealed else NO_SEAL
            self.engine.submit(
                c.EraseSubject(
                    by="system:erasure",
                    command_id=new_id(),
                    party=party,
                    sealed_to=up_to,
                    seal=seal,
                )
            )

    def grow(self) -> None:
        """Make the leaves of all events, sign, and let somebody else keep the checkpoint."""
        self.project()
        views = Views(self.settings.views_path)
        keys = PartyKeys(self.people, self.keys.master)
        follower = LeafFollower(
            self.log,
            Tail(self.log.read, with_bodies=True),
            self.tree,
            self.keys.log_secret,
            Subjects(Backers(views, self.log.log_id), keys),
            may_follow=lambda: True,
            told=lambda: None,
        )
        follower.catch_up()
        signed = self.signer.step()
        views.current().close_sync()
        if signed is not None:
            self.outside.append(signed.note)

    def lives(self) -> str:
        """Campaigns' whole lives, with a checkpoint after each step; one backer is erased. Return
        that one's id.
        """
        erased = self.backer()
        first = self.launch()
        self.grow()
        for amount_minor in (6_000, 7_000, 8_000):
            self.pledge(first, amount_minor)
        self.grow()
        self.pledge(first, 900, backer=erased)
        self.grow()
        second = self.succeed(5_000, 6_000)
        self.grow()
        self.refund(second, 1, 1_000)
        self.grow()
        self.pay_out(second)
        self.do(c.CloseCampaign, first)
        self.grow()
        self.collect(first, 4, 900)
        self.erase(erased)
        self.collect(first, 1, 6_000)
        self.grow()
        return erased

    def place(self, *outside: str) -> TreePlace:
        """The tree with its keys, and checkpoints from outside."""
        files = tuple(Outside(f"checkpoint {n}", note) for n, note in enumerate(outside, 1))
        return tree_of(self.settings, files, (self.vkey,))

    def verified(self, *outside: str, **options: Any) -> Verified:  # noqa: ANN401 - verify's own
        """Verify the log and its tree."""
        place = options.pop("place", None) or self.place(*outside)
        found, _ = verify(
            self.log_place, self.settings.test_bank_path, tree=place, workers=1, **options
        )
        return found
