"""A browser without a screen: it keeps cookies, follows links, and fills forms in."""

from __future__ import annotations

import re
import uuid
from html import unescape
from html.parser import HTMLParser

import httpx

from tests.api.running import ORIGIN, Running


class Fields(HTMLParser):
    """The fields of the first form of a page that posts to an address, with their values."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action
        self.inside = False
        self.values: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a browser would send."""
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.inside = found.get("action", "") == self.action
        elif self.inside and tag == "input" and "disabled" not in found:
            kind = found.get("type", "text")
            if kind != "radio" or "checked" in found:
                self.values.setdefault(found["name"], found.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        """A form ends."""
        if tag == "form":
            self.inside = False


def fields(page: httpx.Response, action: str) -> dict[str, str]:
    """What a form holds before anybody types; there must be such a form."""
    parser = Fields(action)
    parser.feed(page.text)
    assert parser.values, f"no form posts to {action}"
    return parser.values


def words(page: httpx.Response) -> str:
    """What a reader sees, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


class Browser:
    """One visitor."""

    def __init__(self, running: Running) -> None:
        self.mail = f"{uuid.uuid4()}@example.org"
        transport = running.client._transport
        self.client = httpx.AsyncClient(
            transport=transport, base_url=ORIGIN, headers={"origin": ORIGIN}
        )

    async def get(self, path: str) -> httpx.Response:
        """Go there, and on to where that leads."""
        return await self.client.get(path, follow_redirects=True)

    async def post(self, path: str, form: dict[str, str]) -> httpx.Response:
        """Send a form; the answer is not followed."""
        return await self.client.post(path, data=form)

    async def submit(self, page: httpx.Response, action: str, **typed: str) -> httpx.Response:
        """Fill a page's form in and send it. Where a pledge asks for a mail address, they have one
        of their own.
        """
        found = fields(page, action)
        if action.endswith("/pledge") and found.get("mail") == "":
            found["mail"] = self.mail
        return await self.post(action, found | typed)

    async def pledge(
        self, campaign_id: str, *, card: str = "0000000000000001", **typed: str
    ) -> httpx.Response:
        """Pledge from the form over the bank's page to the confirmation."""
        at = f"/campaigns/{campaign_id}/pledge"
        sent = await self.submit(await self.get(at), at, **typed)
        assert sent.status_code == 303, words(sent)
        bank = await self.get(sent.headers["location"])
        token = re.search(r'name="token" value="([^"]+)"', bank.text)
        assert token is not None
        given = await self.post(str(bank.url.path), {"token": token[1], "card": card})
        assert given.status_code == 303
        return await self.get(given.headers["location"])
