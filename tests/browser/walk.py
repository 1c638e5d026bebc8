"""A walk through the site in a real browser, and what every page of it has to keep to."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Any, Final, Literal, Self

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, Request, Response

LIMIT: Final = 100_000
"""What a page may weigh compressed, without its pictures, in bytes."""

RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PICTURES: Final = frozenset(("image", "media"))

Scheme = Literal["light", "dark"]


def digits(text: str) -> int:
    """The digits of an amount as it is shown, as one number."""
    return int(re.sub(r"\D", "", text) or 0)


class Walk:
    """One browser window. Leaving it says what went wrong on the way: an error on the console, a
    request to another host, an answer of 5xx, a rule of accessibility, a page too heavy or too
    wide.
    """

    def __init__(
        self,
        browser: Browser,
        origin: str,
        *,
        width: int = 1280,
        scheme: Scheme = "light",
        chinese: bool = False,
        scripts: bool = True,
    ) -> None:
        self.origin = origin
        self.faults: list[str] = []
        self._context = browser.new_context(
            viewport={"width": width, "height": 900 if width > 600 else 844},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale="zh-CN" if chinese else "en-GB",
            java_script_enabled=scripts,
        )
        self.page: Page = self._context.new_page()
        self._scripts = scripts
        self._weight = 0
        self._seen: set[str] = set()
        self._watch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._context.close()
        if kind is None and self.faults:
            pytest.fail("\n".join(self.faults))

    def _watch(self) -> None:
        page = self.page
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("requestfinished", self._finished)
        page.on("framenavigated", lambda _: None)

    def _console(self, message: Any) -> None:  # noqa: ANN401 - Playwright's console message
        # A refused form answers 4xx, and Chromium notes that: it is what was asked for.
        refused = "status of 4" in message.text
        if message.type in {"error", "warning"} and not refused:
            self.faults.append(f"{self.page.url}: {message.text}")

    def _request(self, request: Request) -> None:
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self._weight = 0
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.faults.append(f"a request left for {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.faults.append(f"{response.status} at {response.url}")

    def _finished(self, request: Request) -> None:
        if request.resource_type not in PICTURES and not request.url.endswith("/live"):
            sizes = request.sizes()
            self._weight += sizes["responseBodySize"]

    # --- Going and looking -----------------------------------------------------------------------

    def go(self, path: str) -> Page:
        """Open an address of ours and look at the page."""
        self.page.goto(f"{self.origin}{path}")
        self.look()
        return self.page

    def act_as(self, role: str) -> None:
        """Go on as the sample person with this role."""
        self.page.goto(f"{self.origin}/demo/as/{role}")

    def click(self, name: str | re.Pattern[str], role: Any = "button") -> Page:  # noqa: ANN401 - an ARIA role
        """Click what has this name, and look at the page that comes."""
        self.page.get_by_role(role, name=name).first.click()
        self.page.wait_for_load_state()
        self.look()
        return self.page

    def look(self) -> None:
        """Hold the page that is shown against everything that every page has to keep to."""
        page = self.page
        page.wait_for_load_state()
        if self._weight > LIMIT:
            self.faults.append(f"{page.url} weighs {self._weight:,} bytes")
        if not self._scripts:
            return
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            self.faults.append(f"{page.url} is {wide} px wider than the window")
        seen = re.sub(r"[0-9a-f-]{36}|\d+", "*", page.url.split("?")[0])
        if seen in self._seen:
            return
        self._seen.add(seen)
        found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
        for violation in found.response["violations"]:
            where = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
            self.faults.append(f"{page.url}: {violation['id']}: {violation['help']}: {where}")
