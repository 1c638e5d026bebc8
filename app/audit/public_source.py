"""Where an audit from outside reads what a log publishes: an address, or a directory.

Nothing is trusted here: answers are bounded in size and time, and another host is never asked.
"""

from __future__ import annotations

import re
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

KIB: Final = 1024
MOST: Final = {
    "key": 4 * KIB,
    "checkpoint": 1024 * KIB,
    "openings": 256 * KIB * KIB,
    "totals": 256 * KIB * KIB,
    "tile": 32 * KIB,
    # 256 entries of at most 65,535 bytes; of ours each has 72.
    "entries": 256 * KIB,
    # 5,000 openings.
    "batch": 16 * KIB * KIB,
}
"""Bytes that each kind of answer may have, decompressed."""

AT_ONCE: Final = 8
TRIES: Final = 5
FIRST_WAIT_S: Final = 0.3
LONGEST_WAIT_S: Final = 10.0
CONNECT_S: Final = 10.0
SILENCE_S: Final = 30.0
WHOLE_ANSWER_S: Final = 120.0

_AGAIN: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_GZIP: Final = 31
"""What tells zlib that gzip's own header is expected."""

INDEX: Final = "openings"
"""The list of what is opened. In a directory, where `openings` holds the batches, it is a file
below it; a server of plain files shows it there too."""
INDEX_FILE: Final = "openings/index.json"

_FULL: Final = re.compile(r"tile/.*/[0-9]{3}|openings/[^/]+/[0-9]+", re.ASCII)


class CannotReadError(Exception):
    """What is published could not be read; the sentence says why."""


def kind_of(path: str) -> str:
    """Which bound holds for a path."""
    first, _, rest = path.partition("/")
    if first == "tile":
        return "entries" if rest.startswith("entries/") else "tile"
    return "batch" if first == "openings" and rest else first


def never_changes(path: str) -> bool:
    """Whether what is found there is final: a full tile or bundle, a batch."""
    return _FULL.fullmatch(path) is not None


class Source(Protocol):
    """Something that is published, by paths below the log's address."""

    name: str

    @property
    def site(self) -> str:
        """The platform's address, empty where only the log is known."""

    def read(self, path: str) -> bytes | None:
        """What is there, or None where there is nothing. Raises CannotReadError."""

    def read_all(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """The same for many paths, in order, several at once."""

    def close(self) -> None:
        """Let go of connections."""


class Folder:
    """A directory with what was published, as a mirror keeps it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)

    @property
    def site(self) -> str:
        """No pages stand beside a directory."""
        return ""

    def read(self, path: str) -> bytes | None:
        """What is there, or None where there is nothing. Raises CannotReadError."""
        file = self.folder / (INDEX_FILE if path == INDEX else path)
        try:
            with file.open("rb") as opened:
                data = opened.read(MOST[kind_of(path)] + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as fault:
            raise CannotReadError(f"{file} cannot be read: {fault.strerror}.") from fault
        if len(data) > MOST[kind_of(path)]:
            raise CannotReadError(f"{file} is larger than such a file can be.")
        return data

    def read_all(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """The same for many paths, in order."""
        return map(self.read, paths)

    def close(self) -> None:
        """There is nothing to let go of."""


class Web:
    """A log's address, asked over connections that stay open."""

    def __init__(self, url: str) -> None:
        import httpx  # noqa: PLC0415 - the other audit commands ask nobody

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CannotReadError(f"{url} is neither an address nor a directory.")
        self.name = url
        self._base = url.rstrip("/")
        self._faults = (httpx.HTTPError, httpx.StreamError)
        self._client = httpx.Client(
            follow_redirects=False,
            timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            headers={"accept-encoding": "gzip", "user-agent": "tributary-audit-public"},
        )
        self._pool = ThreadPoolExecutor(AT_ONCE, "reading")
        self._began: dict[int, float] = {}
        self._late = False
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="watching", daemon=True).start()
        self._find()

    def _watch(self) -> None:
        """End everything once an answer takes too long, however little by little it comes."""
        while not self._closed.wait(WHOLE_ANSWER_S / 20):
            oldest = min([*self._began.values()], default=None)
            if oldest is not None and time.monotonic() - oldest > WHOLE_ANSWER_S:
                self._late = True
                self._client.close()
                return

    def _find(self) -> None:
        """Let the address be the log's, where the platform's was given."""
        if self._base.endswith("/log") or self.read("checkpoint") is not None:
            return
        self._base += "/log"

    @property
    def site(self) -> str:
        """The platform's address, where the log stands at its `/log`."""
        return self._base.removesuffix("/log") if self._base.endswith("/log") else ""

    def read(self, path: str) -> bytes | None:
        """What is there, or None where there is nothing. Raises CannotReadError."""
        found = self._read(path)
        return self._read(INDEX_FILE) if found is None and path == INDEX else found

    def _read(self, path: str) -> bytes | None:
        url = f"{self._base}/{path}"
        wait_s, why = FIRST_WAIT_S, ""
        for tried in range(TRIES):
            if tried:
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            if self._late:
                break
            self._began[threading.get_ident()] = time.monotonic()
            try:
                with self._client.stream("GET", url) as response:
                    status = response.status_code
                    if status == HTTPStatus.OK:
                        return _body(response, url, MOST[kind_of(path)])
                    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                        return None
                    if path == INDEX and status == HTTPStatus.MOVED_PERMANENTLY:
                        return None  # a server of plain files has a directory there
                    if status not in _AGAIN:
                        raise CannotReadError(f"{url} answers with {status}{_elsewhere(response)}.")
                    why = str(status)
                    wait_s = max(wait_s, _asked_to_wait(response))
            except (*self._faults, RuntimeError) as fault:
                if isinstance(fault, RuntimeError) and not self._late:
                    raise
                why = type(fault).__name__
            finally:
                self._began.pop(threading.get_ident(), None)
        if self._late:
            raise CannotReadError(f"{url} does not end: {WHOLE_ANSWER_S:g} s were not enough.")
        raise CannotReadError(f"{url} does not answer: {why}, {TRIES} times.")

    def read_all(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """The same for many paths, in order, several at once."""
        waiting: deque[Future[bytes | None]] = deque()
        try:
            for path in paths:
                waiting.append(self._pool.submit(self.read, path))
                if len(waiting) >= 2 * AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()

    def close(self) -> None:
        """Let go of connections."""
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)
        self._client.close()


def _body(response: httpx.Response, url: str, most: int) -> bytes:
    """The answer's body, never more than it may be, whatever it unfolds to."""
    encoding = response.headers.get("content-encoding", "")
    unfolding = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    if encoding not in ("", "gzip", "identity"):
        raise CannotReadError(f"{url} is sent in {encoding}, which was not asked for.")
    parts: list[bytes] = []
    left = most
    until = time.monotonic() + WHOLE_ANSWER_S
    try:
        for part in response.iter_raw():
            data = unfolding.decompress(part, left + 1) if unfolding else part
            left -= len(data)
            if left < 0 or time.monotonic() > until:
                raise CannotReadError(f"{url} is larger or slower than such an answer can be.")
            parts.append(data)
    except zlib.error as fault:
        raise CannotReadError(f"{url} is not compressed as it says.") from fault
    if unfolding and not unfolding.eof:
        raise CannotReadError(f"{url} ends in the middle.")
    return b"".join(parts)


def _elsewhere(response: httpx.Response) -> str:
    location = response.headers.get("location", "")
    return f" and sends to {location[:200]}, where nobody was asked to go" if location else ""


def _asked_to_wait(response: httpx.Response) -> float:
    asked = response.headers.get("retry-after", "")
    return min(float(asked), LONGEST_WAIT_S) if asked.isascii() and asked.isdigit() else 0.0


def open_source(place: str) -> Web | Folder:
    """What an address or a directory publishes. Raises CannotReadError."""
    if "://" in place:
        return Web(place)
    folder = Path(place)
    if not folder.is_dir():
        raise CannotReadError(f"{place} is neither an address nor a directory.")
    if not (folder / "checkpoint").is_file() and (folder / "log" / "checkpoint").is_file():
        folder /= "log"
    return Folder(folder)
