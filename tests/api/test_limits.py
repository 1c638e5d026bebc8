"""How large a body may be, however it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.api.pledges import MAX_BATCH_BYTES
from app.asgi import MAX_BODY_BYTES
from tests.api.running import Caller, Running


class Chunks:
    """A body in chunks, that counts how many were taken."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give them, one after the other."""
        for _ in range(self.size // 65_536):
            self.taken += 1
            yield b" " * 65_536
        yield b" " * (self.size % 65_536) + b"x"


@pytest.mark.parametrize(
    ("path", "most"), [("/backers", MAX_BODY_BYTES), ("/pledges/batch", MAX_BATCH_BYTES)]
)
async def test_a_body_in_chunks_has_a_size(
    running: Running, staff: Caller, path: str, most: int
) -> None:
    """Without a length in its head it is counted as it comes: a byte too many is 413."""
    for size, status in ((most - 1, 422 if path == "/backers" else 200), (most, 413)):
        answer = await running.client.post(
            f"/api/v1{path}", content=Chunks(size), headers=staff.headers
        )
        assert answer.status_code == status, answer.text
        if status == 413:
            assert answer.json()["reason"] == "too_large"


async def test_a_length_that_is_too_large_is_not_waited_for(
    running: Running, staff: Caller
) -> None:
    """What the head announces is refused before anything of it is read."""
    chunks = Chunks(65_536)
    headers = staff.headers | {"content-length": str(MAX_BODY_BYTES + 1)}
    answer = await running.client.post("/api/v1/backers", content=chunks, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
