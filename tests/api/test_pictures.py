"""Pictures for drafts, sent as bytes."""

from __future__ import annotations

from io import BytesIO

import httpx
from PIL import Image

from app.web.creator.pictures import MAX_BYTES
from tests.api.running import Caller, Running

WIDTH, HEIGHT = 1_200, 600


def picture(media: str = "PNG") -> bytes:
    """A plain picture."""
    kept = BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), "steelblue").save(kept, media)
    return kept.getvalue()


async def _send(
    running: Running, caller: Caller, body: bytes, media: str = "image/png", **headers: str
) -> httpx.Response:
    draft = (await running.post("/drafts", caller, {})).json()["draft_id"]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await running.client.post(
        f"/api/v1/drafts/{draft}/pictures?alt=A+wall",
        content=body,
        headers=caller.headers | {"content-type": media} | named,
    )


async def test_a_picture_is_kept_in_its_sizes(running: Running) -> None:
    """Each size that is told is served, as wide as was told; the largest is the picture's own."""
    creator = await running.caller("creator")
    for media in ("PNG", "JPEG", "WEBP"):
        answer = await _send(running, creator, picture(media), f"image/{media.lower()}")
        assert answer.status_code == 201, answer.text
        kept = answer.json()
        assert (kept["width"], kept["height"], kept["alt"]) == (WIDTH, HEIGHT, "A wall")
        assert [size["width"] for size in kept["sizes"]] == [480, 960, WIDTH]
        assert kept["sizes"][-1]["hash"] == kept["hash"]
        for size in kept["sizes"]:
            served = await running.client.get(size["path"])
            with Image.open(BytesIO(served.content)) as shown:
                assert shown.size == (size["width"], size["height"])


async def test_what_is_no_picture_is_refused(running: Running) -> None:
    """Text, another type, and more bytes than are taken; nothing is kept."""
    creator = await running.caller("creator")
    refused = await _send(running, creator, b"no picture")
    assert (refused.status_code, refused.json()["reason"]) == (422, "body_invalid")
    other = await _send(running, creator, picture(), "image/gif")
    assert (other.status_code, other.json()["reason"]) == (415, "media_type_unsupported")
    large = await _send(running, creator, bytes(MAX_BYTES + 1))
    assert (large.status_code, large.json()["reason"]) == (413, "too_large")


async def test_a_picture_is_kept_once_under_one_key(running: Running) -> None:
    """A repeated request finds the picture; with other bytes it is refused."""
    creator = await running.caller("creator")
    draft = (await running.post("/drafts", creator, {})).json()["draft_id"]
    at = f"/api/v1/drafts/{draft}/pictures?alt=A+wall"
    headers = creator.headers | {"idempotency-key": "wall", "content-type": "image/png"}
    first, again = [
        await running.client.post(at, content=picture(), headers=headers) for _ in range(2)
    ]
    assert first.json() == again.json()
    other = await running.client.post(at, content=picture("JPEG"), headers=headers)
    assert (other.status_code, other.json()["reason"]) == (409, "idempotency_key_reused")
    assert len(await running.platform.stores.pictures.of_draft(draft)) == 1
