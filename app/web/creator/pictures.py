"""Pictures: checked, made small, freed of what a camera writes beside them, and served.

Whatever was uploaded is decoded and encoded anew as WebP in up to three widths. So nothing of the
file itself is ever given out: no place, no camera, no hidden second content.
"""

from __future__ import annotations

import asyncio
import warnings
from io import BytesIO
from typing import Annotated, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter
from msgspec import Struct
from PIL import Image, ImageOps, UnidentifiedImageError

from app.stores.pictures import LARGE_PX, MIDDLE_PX, SMALL_PX, PictureInfo
from app.web.language import translatable
from app.web.site import Site
from app.wiring import Platform
from domain.ids import is_text_hash

MAX_BYTES: Final = 10 * 2**20
MAX_PIXELS: Final = 40_000_000
"""Guarded before anything is decoded: 40 megapixels are 160 MB in memory."""

FORMATS: Final = ("JPEG", "PNG", "WEBP")
QUALITY: Final = 82
IMMUTABLE: Final = "public, max-age=31536000, immutable"

_at_once: Final = asyncio.Semaphore(2)
"""How many pictures are decoded at a time: each may take 160 MB."""


class BadPictureError(ValueError):
    """What was uploaded is not a picture that is taken; its text says why, to be translated."""


class Rendition(Struct, frozen=True):
    """One size of a picture, as WebP."""

    width: int
    height: int
    body: bytes


def render(upload: bytes) -> list[Rendition]:
    """Make the sizes of a picture, the smallest first. Raises BadPictureError.

    A picture is never enlarged: where it is not wider than a size, that size is left out.
    """
    if len(upload) > MAX_BYTES:
        raise BadPictureError(translatable("The picture is larger than 10 MB."))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(BytesIO(upload), formats=FORMATS) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise BadPictureError(
                        translatable("The picture has more than 40 million pixels.")
                    )
                return _sizes(_upright(opened))
    except Image.DecompressionBombError as fault:
        raise BadPictureError(
            translatable("The picture has more than 40 million pixels.")
        ) from fault
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as fault:
        if isinstance(fault, BadPictureError):
            raise
        raise BadPictureError(
            translatable("This is not a picture that we can read: send a JPEG, PNG or WebP.")
        ) from fault


def _upright(opened: Image.Image) -> Image.Image:
    """The picture as it is meant to be seen, in plain colours: then nothing else is needed of what
    the file said of itself.
    """
    turned = ImageOps.exif_transpose(opened)
    has_holes = turned.mode in {"RGBA", "LA", "PA"} or "transparency" in turned.info
    return turned.convert("RGBA" if has_holes else "RGB")


def _sizes(picture: Image.Image) -> list[Rendition]:
    widths = [width for width in (SMALL_PX, MIDDLE_PX) if width < picture.width]
    return [_encoded(picture, width) for width in (*widths, min(LARGE_PX, picture.width))]


def _encoded(picture: Image.Image, width: int) -> Rendition:
    height = max(1, round(picture.height * width / picture.width))
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    bare = Image.new(picture.mode, picture.size)
    bare.paste(picture)
    kept = BytesIO()
    bare.save(kept, "WEBP", quality=QUALITY, method=4)
    return Rendition(width, height, kept.getvalue())


async def keep_picture(
    platform: Platform, upload: bytes, *, alt: str, draft: str, by: str
) -> PictureInfo:
    """Make and keep the sizes of a picture. Raises BadPictureError."""
    async with _at_once:
        sizes = await asyncio.to_thread(render, upload)
    at = platform.clock()
    put = platform.stores.content.put_bytes
    hashes = [await put("image/webp", size.body, at=at) for size in sizes]
    largest = sizes[-1]

    def at_least(width: int) -> str:
        pairs = zip(sizes, hashes, strict=True)
        return next((found for size, found in pairs if size.width >= width), hashes[-1])

    info = PictureInfo(
        hash=hashes[-1],
        small=at_least(SMALL_PX),
        middle=at_least(MIDDLE_PX),
        width=largest.width,
        height=largest.height,
        alt=alt,
        draft=draft,
        put_by=by,
        put_at=at,
    )
    await platform.stores.pictures.add(info)
    return info


@get("/pictures/{picture_hash:str}", include_in_schema=False)
async def show_picture(
    picture_hash: FromPath[str],
    site: NamedDependency[Site],
    w: Annotated[int, QueryParameter(ge=1, le=LARGE_PX)] = LARGE_PX,
) -> Response[bytes]:
    """A picture, at least so many pixels wide where it is as wide as that. It never changes."""
    if not picture_hash or not is_text_hash(picture_hash):
        raise NotFoundException
    stores = site.platform.stores
    picture = await stores.content.picture(picture_hash)
    if picture is None:
        raise NotFoundException
    info = await stores.pictures.get(picture_hash)
    if info is not None and (wanted := info.sized(w)) != picture_hash:
        picture = await stores.content.picture(wanted) or picture
    return Response(
        picture.body,
        media_type=picture.media_type,
        headers={"cache-control": IMMUTABLE, "x-content-type-options": "nosniff"},
    )
