"""The transparency log as others read it: C2SP tlog-tiles below `/log/`.

They answer anybody, from any origin, without a key. Nothing is given that the published checkpoint
does not cover: a tile that no witness has seen the tree of is not there yet.
"""

from __future__ import annotations

import asyncio
from typing import Final

from litestar import Response, get
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.transparency.merkle import MissingTileError
from app.transparency.store import SignedCheckpoint
from app.transparency.tiles import TilePathError, parse_tile_path, width_at
from app.wiring import Platform

TEXT: Final = "text/plain; charset=utf-8"
BINARY: Final = "application/octet-stream"
AGE_S: Final = 365 * 86_400
"""A tile never changes: of a width that is there, every byte is for ever."""

OPEN: Final = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
}

AFTER_RESTORE_S: Final = 60
"""But of a log that went on under another name, behind a cut, other tiles stood here before."""

_FOR_A_WHILE: Final = f"public, max-age={AFTER_RESTORE_S}"
_FOR_EVER: Final = CacheControlHeader(public=True, max_age=AGE_S, immutable=True).to_header()
_NOW: Final = "no-cache"


def _answer(body: bytes, kind: str, age: str) -> Response[bytes]:
    return Response(body, headers={"content-type": kind, "cache-control": age, **OPEN})


def _missing(why: str) -> Response[bytes]:
    headers = {"content-type": TEXT, "cache-control": "no-store", **OPEN}
    return Response(f"{why}\n".encode(), status_code=404, headers=headers)


@get("/log/checkpoint", include_in_schema=False)
async def show_checkpoint(platform: NamedDependency[Platform]) -> Response[bytes]:
    """The newest published checkpoint, a signed note (C2SP tlog-checkpoint)."""
    newest = await asyncio.to_thread(platform.transparency.published)
    if newest is None:
        return _missing("No checkpoint has been published yet.")
    return _answer(newest.note.encode(), TEXT, _NOW)


@get("/log/key", include_in_schema=False)
async def show_key(platform: NamedDependency[Platform]) -> Response[bytes]:
    """The key by which checkpoints are verified (C2SP signed-note). Who wants to be sure asks for
    it elsewhere, too.
    """
    return _answer(f"{platform.transparency.log_key.encode()}\n".encode(), TEXT, _NOW)


@get("/log/tile/{rest:path}", include_in_schema=False)
async def show_tile(rest: FromPath[str], platform: NamedDependency[Platform]) -> Response[bytes]:
    """A tile of hashes, or a bundle of leaves, whole or of any width that is published."""
    found = await asyncio.to_thread(_tile, platform, f"tile{rest}")
    if found is None:
        return _missing("No such tile has been published.")
    is_first = platform.transparency.tree.number == 1
    return _answer(found, BINARY, _FOR_EVER if is_first else _FOR_A_WHILE)


def _tile(platform: Platform, path: str) -> bytes | None:
    """What stands at a path of C2SP tlog-tiles; None where nothing is published there."""
    log = platform.transparency
    try:
        asked = parse_tile_path(path)
        level = asked.level or 0
        size = _size(log.published())
        if asked.width > width_at(level, asked.n, size):
            # Another process may have shown a newer checkpoint than this one knows of.
            size = _size(log.look())
        if asked.width > width_at(level, asked.n, size):
            return None
        if asked.level is None:
            return log.store.bundle(asked.n, asked.width)
        return log.store.tile(level, asked.n, asked.width)
    except (TilePathError, MissingTileError):
        return None


def _size(checkpoint: SignedCheckpoint | None) -> int:
    return 0 if checkpoint is None else checkpoint.size


HANDLERS: Final = (show_checkpoint, show_key, show_tile)
