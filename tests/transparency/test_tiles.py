"""Paths of tiles and bundles of entries, in the one spelling of C2SP tlog-tiles."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.transparency.tiles import (
    BundleError,
    TilePath,
    TilePathError,
    bundle,
    parse_tile_path,
    tile_path,
    tiles_of,
    unbundle,
    width_at,
)


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/000", TilePath(0, 0, 256)),
        ("tile/0/x001/x234/067", TilePath(0, 1_234_067, 256)),
        ("tile/0/x001/x234/067.p/12", TilePath(0, 1_234_067, 12)),
        ("tile/entries/x001/000.p/255", TilePath(None, 1_000, 255)),
        ("tile/63/999.p/1", TilePath(63, 999, 1)),
        ("tile/7/x009/x223/x372/x036/x854/x775/807", TilePath(7, (1 << 63) - 1, 256)),
    ],
)
def test_paths_are_spelled_as_specified(path: str, tile: TilePath) -> None:
    """The examples of the specification, and the ends of the ranges."""
    assert parse_tile_path(path) == tile
    assert tile_path("entries" if tile.level is None else tile.level, tile.n, tile.width) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/x000/x001/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/999",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000\n",
        "tile/0/000.p/1\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/entries",
        "tile/Entries/000",
        "tile/data/000",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/x001/x009/x223/x372/x036/x854/x775/807",
        "tile/0/" + "x001/" * 1000 + "000",
        "tile/0/../0/000",
    ],
)
def test_other_spellings_are_refused(path: str) -> None:
    """One tile has one path, so that nothing is fetched or kept twice."""
    with pytest.raises(TilePathError):
        parse_tile_path(path)


@given(st.none() | st.integers(0, 63), st.integers(0, (1 << 63) - 1), st.integers(1, 256))
def test_paths_are_read_as_written(level: int | None, n: int, width: int) -> None:
    """Every tile there may be."""
    path = tile_path("entries" if level is None else level, n, width)
    assert parse_tile_path(path) == TilePath(level, n, width)


@given(
    st.text()
    | st.text("tile/entrisx0123456789.p", max_size=40)
    | st.from_regex(r"tile/[0-9]{1,3}/(x[0-9]{3}/){0,3}[0-9]{3}(\.p/[0-9]{1,4})?")
)
def test_a_path_is_a_tile_or_a_typed_error(path: str) -> None:
    """And what is read is written the same."""
    try:
        tile = parse_tile_path(path)
    except TilePathError:
        return
    assert tile_path("entries" if tile.level is None else tile.level, tile.n, tile.width) == path


@pytest.mark.parametrize(("level", "n", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0)])
def test_a_tile_that_cannot_be_has_no_path(level: int, n: int, width: int) -> None:
    """A mistake of ours shows at once."""
    with pytest.raises(ValueError, match="a "):
        tile_path(level, n, width)


def test_the_tiles_of_a_tree_are_those_of_the_specification() -> None:
    """Its example: 70,000 leaves; and 256 leaves have a level above of one hash."""
    tiles = list(tiles_of(70_000))
    assert len(tiles) == 273 + 1 + 1 + 1 + 1
    assert tiles[272:] == [(0, 272, 256), (0, 273, 112), (1, 0, 256), (1, 1, 17), (2, 0, 1)]
    assert list(tiles_of(256)) == [(0, 0, 256), (1, 0, 1)]
    assert list(tiles_of(0)) == []
    assert all(width_at(level, n, 70_000) == width for level, n, width in tiles)


@given(st.lists(st.binary(max_size=80), max_size=256))
@example([b""] * 256)
@example([b"x" * 65_535])
def test_bundles_give_back_what_they_hold(entries: list[bytes]) -> None:
    """In order, empty ones too."""
    assert unbundle(bundle(entries)) == entries


@given(st.binary(max_size=3_000))
def test_bytes_are_a_bundle_or_a_typed_error(data: bytes) -> None:
    """And what is read is written the same."""
    try:
        entries = unbundle(data)
    except BundleError:
        return
    assert bundle(entries) == data


@pytest.mark.parametrize("data", [b"\0", b"\0\1", b"\0\1a\0", b"\0\2a", b"\0\0" * 257])
def test_a_bundle_has_no_rest(data: bytes) -> None:
    """Neither half an entry nor one too many."""
    with pytest.raises(BundleError):
        unbundle(data)


def test_an_entry_has_an_end() -> None:
    """Its length is two bytes."""
    with pytest.raises(BundleError):
        bundle([b"x" * 65_536])
