"""Cookies and forms: whose browser it is, and that only our own pages send forms."""

from __future__ import annotations

from http.cookies import SimpleCookie

import httpx

from app.settings import Settings
from app.stores.sessions import LIFETIME_MS
from app.web.visitors import Visitors
from tests.api.running import NOW, ORIGIN, Caller, Running, transport_to
from tests.web.browsing import Browser, fields, words


def cookie_of(answer: httpx.Response) -> str:
    """The value of our cookie that an answer sets."""
    jar: SimpleCookie = SimpleCookie(answer.headers["set-cookie"])
    return jar["tributary"].value


async def test_reading_leaves_no_trace(running: Running, staff: Caller) -> None:
    """Who only reads gets no cookie, and no row is written for who only fills in a form."""
    cid = (await running.launched(staff))["campaign_id"]
    browser = Browser(running)
    for path in ("/", f"/campaigns/{cid}", "/problems"):
        assert "set-cookie" not in (await browser.get(path)).headers
    form = await browser.get(f"/campaigns/{cid}/pledge")
    set_cookie = form.headers["set-cookie"].lower()
    assert "httponly" in set_cookie
    assert "samesite=lax" in set_cookie
    assert "secure" not in set_cookie
    async with running.platform.stores.sessions._engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM sessions")).scalar() == 0


async def test_the_cookie_changes_with_the_session(running: Running, staff: Caller) -> None:
    """A cookie that was planted before the first pledge does not become that pledge's session."""
    cid = (await running.launched(staff))["campaign_id"]
    running.platform.start()
    victim, planter = Browser(running), Browser(running)
    at = f"/campaigns/{cid}/pledge"
    planted = cookie_of(await planter.get(at))
    victim.client.cookies.set("tributary", planted, domain="tributary.test", path="/")
    await victim.pledge(cid, amount="50")
    assert victim.client.cookies["tributary"] != planted
    assert "no. 1" in words(await victim.get("/me"))
    assert "No pledges yet." in words(await planter.get("/me"))


async def test_only_the_hash_of_a_session_is_kept(running: Running, staff: Caller) -> None:
    """Who reads the table can step into nobody's session; and it names no more than the backer."""
    cid = (await running.launched(staff))["campaign_id"]
    browser = Browser(running)
    await browser.pledge(cid, amount="50")
    token = browser.client.cookies["tributary"].partition(".")[0]
    async with running.platform.stores.sessions._engine.connect() as connection:
        (row,) = await connection.exec_driver_sql("SELECT * FROM sessions")
    assert token.encode() not in b"".join(str(value).encode() for value in row)


async def test_a_cookie_that_we_did_not_make_is_nobody(running: Running) -> None:
    """Forged, cut and strange cookies are never adopted: the answer brings one of ours."""
    for value in ("x", "x.y", "a" * 43 + "." + "0" * 32, ".", "é.è"):
        raw = f"tributary={value}".encode()
        page = await running.client.get("/me", headers={b"cookie": raw})
        assert page.status_code == 200
        assert "No pledges yet." in page.text
        assert cookie_of(page).partition(".")[0] != value.partition(".")[0]


async def test_a_session_ends(running: Running, staff: Caller) -> None:
    """After its lifetime the cookie speaks for nobody."""
    cid = (await running.launched(staff))["campaign_id"]
    running.platform.start()
    browser = Browser(running)
    await browser.pledge(cid, amount="50")
    assert "no. 1" in words(await browser.get("/me"))
    running.clock.now = NOW + LIFETIME_MS
    assert "No pledges yet." in words(await browser.get("/me"))


async def test_forms_come_from_our_own_pages(running: Running, staff: Caller) -> None:
    """Another origin, another visitor's token, or none: refused, and nothing is done."""
    cid = (await running.launched(staff))["campaign_id"]
    at = f"/campaigns/{cid}/pledge"
    browser, other = Browser(running), Browser(running)
    good = fields(await browser.get(at), at) | {"amount": "50", "mail": "someone@example.org"}
    foreign = fields(await other.get(at), at)["form_token"]
    position, _ = running.platform.log.last()
    for form, headers in (
        (good, {"origin": "https://evil.example"}),
        (good, {"origin": "null"}),
        (good, {"sec-fetch-site": "cross-site"}),
        (good | {"form_token": foreign}, {}),
        (good | {"form_token": ""}, {}),
        ({"amount": "50"}, {}),
    ):
        refused = await browser.client.post(at, data=form, headers={"origin": ORIGIN} | headers)
        assert refused.status_code == 403, (form, headers)
        assert "form" in words(refused)
    assert running.platform.log.last()[0] == position
    fine = await browser.client.post(at, data=good, headers={"sec-fetch-site": "same-origin"})
    assert fine.status_code == 303


async def test_an_old_client_without_an_origin_needs_the_token(
    running: Running, staff: Caller
) -> None:
    """Where a browser names no origin the token alone decides."""
    cid = (await running.launched(staff))["campaign_id"]
    at = f"/campaigns/{cid}/pledge"
    browser = Browser(running)
    del browser.client.headers["origin"]
    form = fields(await browser.get(at), at) | {"amount": "50", "mail": "someone@example.org"}
    assert (await browser.post(at, form)).status_code == 303
    assert (await browser.post(at, form | {"form_token": "0" * 32})).status_code == 403


async def test_over_https_the_cookie_is_secure(running: Running, staff: Caller) -> None:
    """The cookie is bound to the host and never sent in the clear."""
    stores = running.platform.stores
    visitors = Visitors(
        stores.sessions, stores.accounts, secret=b"s" * 32, secure=True, clock=running.clock
    )
    visitor = await visitors.begin(staff.party)
    header = visitors.cookie(visitor).to_header()
    assert header.startswith("Set-Cookie: __Host-tributary=")
    assert "Secure" in header
    assert "Path=/" in header


async def test_the_address_decides_about_https(running: Running) -> None:
    """A public https address makes cookies secure."""
    settings = running.platform.settings
    changed = {name: getattr(settings, name) for name in settings.__struct_fields__}
    running.platform.settings = Settings(**changed | {"public_url": "https://tributary.test"})
    transport = transport_to(running.platform)
    async with httpx.AsyncClient(transport=transport, base_url="https://tributary.test") as client:
        answer = await client.get("/me")
    assert answer.headers["set-cookie"].startswith("__Host-tributary=")
