"""Trees, logs and checkpoints for the tests of the formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from app.transparency.checkpoint import Checkpoint
from app.transparency.merkle import EMPTY_ROOT, MemoryTiles, leaf_hash, node_hash, root_at
from app.transparency.note import COSIGNATURE, ED25519, SigningKey

ORIGIN = "log.example/books"
LOG = SigningKey(ORIGIN, ED25519, b"log key for tests, 32 bytes long")
OTHER = SigningKey(ORIGIN, ED25519, b"another key of the log, 32 bytes")
WITNESSES = tuple(
    SigningKey(f"witness.example/{n}", COSIGNATURE, b"witness %d for tests, 32 bytes l." % n)
    for n in range(3)
)
MOST = 1_100
AT_S = 1_700_000_000


@cache
def hashes(count: int = MOST, kind: bytes = b"leaf") -> tuple[bytes, ...]:
    """Leaf hashes, the same each time; another kind is another history."""
    return tuple(leaf_hash(b"%s %d" % (kind, n)) for n in range(count))


def by_definition(leaves: Sequence[bytes]) -> bytes:
    """The root as RFC 6962 section 2.1 defines it, word by word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return node_hash(by_definition(leaves[:half]), by_definition(leaves[half:]))


def path_by_definition(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The audit path as RFC 6962 section 2.1.1 defines it."""
    if len(leaves) == 1:
        return []
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    if index < half:
        return [*path_by_definition(index, leaves[:half]), by_definition(leaves[half:])]
    return [*path_by_definition(index - half, leaves[half:]), by_definition(leaves[:half])]


def growth_by_definition(old: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """The consistency proof as RFC 6962 section 2.1.2 defines it."""
    if old == len(leaves):
        return [] if whole else [by_definition(leaves)]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    if old <= half:
        left = growth_by_definition(old, leaves[:half], whole=whole)
        return [*left, by_definition(leaves[half:])]
    right = growth_by_definition(old - half, leaves[half:], whole=False)
    return [*right, by_definition(leaves[:half])]


def checkpoint(tiles: MemoryTiles, size: int, key: SigningKey = LOG) -> str:
    """The signed checkpoint of the tree's first leaves."""
    text = Checkpoint(key.verifier.name, size, root_at(tiles, size)).text
    return f"{text}\n{key.sign(text)}"


def mutations(proof: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Proofs that are wrong: one bit, one hash less, one more, two exchanged, one twice."""
    for at, one in enumerate(proof):
        for bit in (0, 100, 255):
            wrong = int.from_bytes(one, "big") ^ (1 << bit)
            yield [*proof[:at], wrong.to_bytes(32, "big"), *proof[at + 1 :]]
        yield [*proof[:at], *proof[at + 1 :]]
        yield [*proof[:at], one, *proof[at:]]
        yield [*proof[:at], one[:-1], *proof[at + 1 :]]
        if at and proof[at - 1] != one:
            yield [*proof[: at - 1], one, proof[at - 1], *proof[at + 1 :]]
    yield [*proof, bytes(32)]
    yield [*proof, *hashes(65)]
