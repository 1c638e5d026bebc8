"""Pictures: their sizes, what is taken from them, and what is refused."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from app.web.creator.pictures import BadPictureError, keep_picture, render
from tests.api.running import Running
from tests.web.creator.people import picture


def test_three_sizes_and_no_larger_than_the_picture() -> None:
    """A wide picture has three sizes, a small one is never enlarged."""
    assert [size.width for size in render(picture(2400, 1600))] == [480, 960, 1600]
    assert [size.width for size in render(picture(700, 500))] == [480, 700]
    assert [size.width for size in render(picture(100, 60))] == [100]


def test_place_and_camera_are_gone() -> None:
    """Neither the place nor the maker of the camera is in any size."""
    taken = picture()
    assert Image.open(BytesIO(taken)).getexif().get_ifd(0x8825)
    for size in render(taken):
        made = Image.open(BytesIO(size.body))
        assert made.format == "WEBP"
        assert not dict(made.getexif())
        assert b"CAMERA" not in size.body
        assert b"EXIF" not in size.body


def test_a_picture_taken_sideways_stands_upright() -> None:
    """The turn that a camera only notes is carried out before the note is lost."""
    made = Image.new("RGB", (400, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    kept = BytesIO()
    made.save(kept, "JPEG", exif=exif)
    (size,) = render(kept.getvalue())
    assert (size.width, size.height) == (200, 400)


def _bomb(width: int, height: int) -> bytes:
    """A PNG that says it is huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("upload", "said"),
    [
        (b"", "not a picture"),
        (b"GIF89a" + bytes(40), "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (picture()[:200], "not a picture"),
        (_bomb(8_000, 8_000), "40 million"),
        (_bomb(60_000, 60_000), "40 million"),
        (bytes(10 * 2**20 + 1), "10 MB"),
    ],
    ids=["nothing", "gif", "svg", "cut off", "too many pixels", "a bomb", "too large"],
)
def test_what_is_refused(upload: bytes, said: str) -> None:
    """Each refusal says why, and nothing is decoded of what is too large."""
    with pytest.raises(BadPictureError, match=said):
        render(upload)


async def test_a_picture_is_served_for_ever_until_it_is_taken_down(running: Running) -> None:
    """Sizes by width, immutable; after a takedown of the picture none of its sizes."""
    content = running.platform.stores.content
    info = await keep_picture(
        running.platform, picture(2000, 1000), alt="Sea", draft="", by="creator:x"
    )
    whole = await running.client.get(f"/pictures/{info.hash}")
    small = await running.client.get(f"/pictures/{info.hash}?w=480")
    assert "immutable" in whole.headers["cache-control"]
    assert whole.headers["content-type"] == "image/webp"
    assert Image.open(BytesIO(whole.content)).width == 1600
    assert Image.open(BytesIO(small.content)).width == 480
    await content.take_down(info.hash, at=1)
    for width in (480, 960, 1600):
        gone = await running.client.get(f"/pictures/{info.hash}?w={width}")
        assert gone.status_code == 404
    text = await content.put({"title": "No picture"}, at=1)
    assert (await running.client.get(f"/pictures/{text}")).status_code == 404
    assert (await running.client.get("/pictures/..%2Fx")).status_code == 404
