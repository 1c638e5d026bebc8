"""Writing mails: what every part of the site calls as `platform.mail.post`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from app.mail.kinds import LOCKED, Kind
from app.mail.links import Links
from app.mail.rendering import Renderer
from app.settings import Settings
from app.stores.accounts import Accounts, normal_mail
from app.stores.follows import Follows
from app.stores.mail_choices import MailChoices
from app.stores.mails import Mails, NewMail
from app.web.templating import environment


class MailHealth(Struct, frozen=True):
    """Whether mails go out. `sends` is false where no SMTP server is set, and in a demo; `waiting`
    counts those that are queued; `oldest_due_at` (ms UTC) is since when.
    """

    sends: bool
    waiting: int
    oldest_due_at: int | None


class Mail:
    """The mails of a platform. `clock` returns ms UTC."""

    def __init__(self, settings: Settings, people: AsyncEngine, clock: Callable[[], int]) -> None:
        self._settings = settings
        self._clock = clock
        self._accounts = Accounts(people)
        self.mails = Mails(people)
        self.choices = MailChoices(people)
        self.follows = Follows(people)
        self.links = Links(settings.secret, clock)
        self.renderer = Renderer(
            lambda: environment(demo=settings.demo, clock=clock), settings.public_url
        )

    async def post(
        self,
        *,
        name: str,
        to: str,
        language: str,
        dedupe_key: str,
        party: str = "",
        kind: Kind | None = None,
        **context: Any,  # noqa: ANN401 - whatever the template tells
    ) -> None:
        """Queue a mail from `templates/mail/<name>.txt`; the same `dedupe_key` queues it once.

        `to` is an address, `party` whose mail it is (so that it goes when the person is
        forgotten). Without an address there is no mail; nor where the party turned this `kind`
        off, which the mail itself offers. Raises TemplateNotFound and UndefinedError: a faulty
        template is found by the caller's test.
        """
        if not to.strip():
            return
        off_path = ""
        if kind is not None and kind not in LOCKED and party:
            account = (await self._accounts.of_parties([party])).get(party)
            person = party if account is None else account.party
            if kind in await self.choices.off(person):
                return
            off_path = self.links.off_link(person, kind)
        letter = self.renderer.render(name, language, off_path=off_path, **context)
        mail = NewMail(
            dedupe_key=f"{name}/{dedupe_key}",
            party=party,
            address=normal_mail(to),
            language=letter.language,
            name=name,
            subject=letter.subject,
            text=letter.text,
            html=letter.html,
            off_path=off_path,
        )
        await self.mails.add([mail], at=self._clock())

    async def health(self) -> MailHealth:
        """Whether mails go out."""
        waiting = await self.mails.waiting()
        sends = bool(self._settings.smtp_url) and not self._settings.demo
        return MailHealth(sends, waiting.number, waiting.oldest_due_at)

    async def forget(self, parties: Collection[str], address: str = "") -> None:
        """Delete every mail to these parties and this address, with their choices and follows."""
        await self.choices.forget(parties)
        await self.follows.forget(parties, address)
        await self.mails.forget(parties, address)
