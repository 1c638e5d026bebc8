"""On what was measured: the machine, its disk, and the versions of what runs on it."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.databases import NoServerError, directory, postgres_settings

WRITES: Final = 100
PAGE: Final = b"\0" * 4096


def facts() -> Iterator[tuple[str, str]]:
    """What a reader needs to compare, line by line; takes a second to measure the disk."""
    yield "date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield "processor", f"{_processor()}, {os.cpu_count()} cores"
    yield "memory", f"{_memory_gib():.0f} GiB"
    yield "kernel", f"{platform.system()} {platform.release()}"
    with directory() as folder:
        median_ms, worst_ms = fsync_ms(folder)
        durable = f"appending 4 KiB and fsync takes {median_ms:.2f} ms"
        yield "disk", f"{_file_system(folder)}; {durable} (the slowest {worst_ms:.1f} ms)"
    yield "Python", f"{sys.version.split()[0]}"
    yield "SQLite", f"{sqlite3.sqlite_version}; WAL, synchronous = FULL"
    try:
        found = postgres_settings()
    except NoServerError as missing:
        yield "PostgreSQL", str(missing)
    else:
        version = found.pop("server_version").split()[0]
        said = ", ".join(f"{name} = {value}" for name, value in found.items())
        yield "PostgreSQL", f"{version}; {said}"
    yield "load average at the start", " ".join(f"{load:.2f}" for load in os.getloadavg())


def fsync_ms(folder: Path) -> tuple[float, float]:
    """The median and the longest time of a durable append, in ms."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(WRITES):
            began = time.perf_counter()
            file.write(PAGE)
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), max(times)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _file_system(folder: Path) -> str:
    """The kind of file system that holds this folder. Raises SystemExit for one in memory."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [mount for mount in mounts if folder.is_relative_to(mount[0])]
    kind = max(holding, key=lambda mount: len(mount[0]))[1]
    if kind in {"tmpfs", "ramfs"}:
        raise SystemExit(f"{folder} lies in memory: nothing would be durable there")
    return kind


if __name__ == "__main__":
    for name, value in facts():
        print(f"{name}: {value}")
