"""What is published under `/log/`, as a page of plain text: for people who typed the address."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency

from app.web.audit.books import PublicCheckpoint, public_checkpoint
from app.web.log_routes import OPEN, TEXT
from app.wiring import Platform


@get("/log", include_in_schema=False)
async def show_log(platform: NamedDependency[Platform]) -> Response[bytes]:
    """What the transparency log is called, and where its parts are."""
    checkpoint = await asyncio.to_thread(public_checkpoint, platform)
    told = "\n".join(_told(platform, checkpoint)) + "\n"
    return Response(
        told.encode(), headers={"content-type": TEXT, "cache-control": "no-cache", **OPEN}
    )


_ALWAYS: Final = (
    ("checkpoint", "the newest checkpoint: how many events there are, and the tree's root, signed"),
    ("key", "the key that it is signed with; ask somebody else for it, too"),
    ("openings", "what was opened so far, by campaign (JSON)"),
    ("openings/CAMPAIGN/BATCH", "one batch of it"),
    ("totals", "the numbers that the campaigns' pages show (JSON)"),
)


def _told(platform: Platform, checkpoint: PublicCheckpoint | None) -> Iterator[str]:
    url = platform.settings.public_url
    yield f"The transparency log {platform.transparency.log_key.name}"
    yield f"Key: {platform.transparency.log_key.encode()}"
    if checkpoint is None:
        yield "No checkpoint has been published yet."
    else:
        yield f"Events under the newest checkpoint: {checkpoint.size}"
        for witness in checkpoint.asked:
            yield f"Witness: {witness.key}"
    yield ""
    for path, meaning in _ALWAYS:
        yield f"{url}/log/{path}"
        yield f"    {meaning}"
    if checkpoint is not None and checkpoint.leaf_tile:
        yield f"{url}/log/{checkpoint.leaf_tile}"
        yield "    the first leaves; 256 in a full bundle, entries/001 has the next"
        for level, path in enumerate(checkpoint.hash_tiles):
            yield f"{url}/log/{path}"
            yield f"    the first hashes of level {level} of the tree; 256 in a full tile"
        yield ""
        yield "What is not full yet has .p/ and how many it has at the end of its name: C2SP"
        yield "tlog-tiles (https://c2sp.org/tlog-tiles) describes the names."
        yield ""
        yield "Check all of it:"
        yield f"    {checkpoint.command(url)}"
    yield ""
    yield f"For people: {url}/audit"
