"""People who are signed in, and a picture to upload."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from app.web.visitors import Visitors
from tests.api.running import NOW, Running
from tests.web.browsing import Browser

GPS_IFD = 0x8825


async def signed_in(running: Running, mail: str, name: str = "") -> tuple[Browser, str]:
    """A browser in which somebody with a new account has signed in, and their party."""
    platform = running.platform
    account = await platform.stores.accounts.open(mail, at=NOW, display_name=name, role="creator")
    return await come_in(running, account.party), account.party


async def come_in(running: Running, party: str) -> Browser:
    """A browser in which this party has signed in."""
    platform = running.platform
    visitors = Visitors(
        platform.stores.sessions,
        platform.stores.accounts,
        secret=platform.settings.secret,
        secure=False,
        clock=platform.clock,
    )
    cookie = visitors.cookie(await visitors.begin(party, signed_in=True))
    browser = Browser(running)
    browser.client.cookies.set(cookie.key, cookie.value or "")
    return browser


def picture(width: int = 1200, height: int = 800, *, kind: str = "JPEG") -> bytes:
    """A picture with a place and a camera written beside it."""
    made = Image.new("RGB", (width, height), (40, 90, 160))
    exif = Image.Exif()
    exif[0x010F] = "CAMERA-MAKER-MARK"
    exif.get_ifd(GPS_IFD)[1] = "N"
    exif.get_ifd(GPS_IFD)[2] = (39.0, 54.0, 26.0)
    kept = BytesIO()
    made.save(kept, kind, exif=exif)
    return kept.getvalue()
