"""Take the pictures of the main pages that `docs/` shows, light and dark.

    make screenshots

The demo is started on a directory of its own; nothing of another one is touched.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from bench.browsing import FLAGS, running_demo

FOLDER: Final = Path(__file__).parent.parent / "docs" / "images"
WIDTH: Final = 1280
HEIGHT: Final = 960
COLOURS: Final = 128
AUDITED_S: Final = 90
"""How long the demo may take to audit itself."""
CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")


Open = Callable[[Page, str], None]


def _at(path: str, role: str = "") -> Open:
    """Open an address, as the sample person with a role."""

    def go(page: Page, url: str) -> None:
        page.goto(f"{url}/demo/as/{role or 'visitor'}")
        page.goto(f"{url}{path}")

    return go


def _named(words: str, title: str, role: str = "", *, part: str = "") -> Open:
    """Open a campaign found by words in its title; `part` is what stands behind its address."""

    def go(page: Page, url: str) -> None:
        page.goto(f"{url}/demo/as/{role or 'visitor'}")
        page.goto(f"{url}/discover?q={words}&state=all")
        page.get_by_role("link", name=title).first.click()
        page.wait_for_load_state()
        if part:
            page.goto(page.url.split("?", maxsplit=1)[0] + part)

    return go


def _inside(path: str, link: str, role: str) -> Open:
    """Open an address as a sample person, and the first link there with this name."""

    def go(page: Page, url: str) -> None:
        page.goto(f"{url}/demo/as/{role}")
        page.goto(f"{url}{path}")
        if not page.get_by_role("link", name=link).count():
            page.locator("a[href*='channel=']").first.click()
        page.get_by_role("link", name=link).first.click()

    return go


def _checked(page: Page, url: str) -> None:
    """Open a receipt of the sample backer's, checked."""
    _at("/me", "backer")(page, url)
    page.locator("a[href*='/receipts/'][aria-label]").first.click()
    page.locator("a[href^='/receipts/check#']").click()
    page.locator(".result.proved").evaluate("(it) => it.scrollIntoView({ block: 'center' })")


def _audited(path: str) -> Open:
    """Open an address once the demo has audited itself."""

    def go(page: Page, url: str) -> None:
        for _ in range(AUDITED_S):
            page.goto(f"{url}{path}")
            if page.locator("main .seal").count():
                return
            page.wait_for_timeout(1_000)

    return go


def _cheated(page: Page, url: str) -> None:
    """Cheat, cover it up, and see who noticed."""
    page.goto(f"{url}/demo/cheat")
    page.locator("input[name=signed]").check()
    page.get_by_role("button", name="Cheat on the copy").click()
    page.wait_for_url("**/demo/cheat/*", timeout=AUDITED_S * 1_000)


PAGES: Final[dict[str, Open]] = {
    "home": _at("/"),
    "discover": _at("/discover"),
    "campaign": _named("viaduct", "Film nights"),
    "money": _named("cargo", "Cargo bicycles", part="#money"),
    "cancelled": _named("sails", "Bags from old sails"),
    "pledge": _named("viaduct", "Film nights", part="/pledge"),
    "ledger": _at("/me", "backer"),
    "receipt": _checked,
    "desk": _inside("/desk", "Weather stations", "creator"),
    "review": _inside("/staff/reviews", "sundial", "staff"),
    "treasurer": _at("/staff/payouts", "treasurer"),
    "outbox": _at("/outbox"),
    "chinese": _at("/?lang=zh-Hans"),
    "audit": _audited("/audit"),
    "cheated": _cheated,
}
"""The pages, by the names of their pictures."""


def main() -> None:
    """Take every picture."""
    chromium = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if chromium is None:
        sys.exit("This needs Chromium: apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_demo(Path(folder)) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for scheme in ("light", "dark"):
            for name, go in PAGES.items():
                context = browser.new_context(
                    viewport={"width": WIDTH, "height": HEIGHT},
                    color_scheme="dark" if scheme == "dark" else "light",
                    reduced_motion="reduce",
                )
                page = context.new_page()
                go(page, url)
                page.wait_for_load_state()
                _keep(page.screenshot(), FOLDER / f"{name}-{scheme}.png")
                print(f"{name}-{scheme}")
                context.close()
        browser.close()


def _keep(taken: bytes, path: Path) -> None:
    """Keep a picture with a palette: a quarter of the size, and nobody sees the difference."""
    with Image.open(io.BytesIO(taken)) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    main()
