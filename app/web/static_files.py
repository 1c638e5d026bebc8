"""Styles, icons and the one font: files of ours, by their exact names."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Final

from litestar import get
from litestar.datastructures import CacheControlHeader
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import File

from app.web.templating import STATIC, STATIC_PATH

MAX_AGE_S: Final = 3_600

_TYPES: Final = {
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
    ".css": "text/css",
    ".js": "text/javascript",
}


def _files() -> dict[str, Path]:
    """Every file by its name below the address. Nothing else is ever looked for on the disk."""
    return {
        f"/{path.relative_to(STATIC).as_posix()}": path
        for path in STATIC.rglob("*")
        if path.is_file()
    }


FILES: Final = _files()


@get(
    f"{STATIC_PATH}/{{name:path}}",
    include_in_schema=False,
    cache_control=CacheControlHeader(public=True, max_age=MAX_AGE_S),
)
async def static_file(name: FromPath[str]) -> File:
    """One file. Raises NotFoundException for any other name."""
    path = FILES.get(name)
    if path is None:
        raise NotFoundException
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return File(path, media_type=kind, content_disposition_type="inline")
