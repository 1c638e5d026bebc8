"""The shape of the house, held by tests: which room may know which, and what no file may hold."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("app", "domain", "projections")
MAY_IMPORT = {
    "app": {"app", "projections", "domain"},
    "projections": {"projections", "domain"},
    "domain": {"domain"},
}
WRITTEN_BY_US = ("app", "domain", "projections", "templates", "tests", "bench", "ops", "docs")
TEXT_TYPES = {".py", ".html", ".css", ".js", ".md", ".sql"}
VENDORED = ROOT / "app/web/static/vendor"
LONGEST_FILE = 700
IMPURE_MODULES = {
    *("asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets"),
    *("shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time", "urllib"),
}
IMPURE_CALLS = {"input", "now", "open", "print", "today", "utcnow", "uuid1", "uuid4"}
# Put together from halves, so that this file may be searched like any other.
UNDONE = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error"]))
CANNOT_FAIL = re.compile("assert" + r" True\b")
ELSEWHERE = re.compile(r"""(src|href|action|url)\s*[=(]\s*["']?(https?:)?//""")


def sources(*rooms: str) -> list[Path]:
    """Every Python file of these rooms."""
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def texts() -> list[Path]:
    """Every text file written by us."""
    found = (path for room in WRITTEN_BY_US for path in (ROOT / room).rglob("*"))
    return sorted(p for p in found if p.suffix in TEXT_TYPES and not p.is_relative_to(VENDORED))


def name(path: Path) -> str:
    """Name a file as a reader would."""
    return str(path.relative_to(ROOT))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, by its full name."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join((*above, *filter(None, [node.module])))


def test_there_is_something_to_check() -> None:
    """Each room has files: a moved directory would make every other test here pass."""
    assert [room for room in (*ROOMS, "tests") if not sources(room)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    """Imports run one way: app, projections, domain."""
    wrong = [
        f"{name(path)} imports {module}"
        for path in sources(room)
        for module in imported(path)
        if (top := module.partition(".")[0]) in {*ROOMS, "tests", "bench"}
        and top not in MAY_IMPORT[room]
    ]
    assert wrong == []


def test_the_domain_needs_nothing() -> None:
    """The domain imports the standard library, msgspec and itself."""
    allowed = sys.stdlib_module_names | {"msgspec", "domain"}
    wrong = [
        f"{name(path)} imports {module}"
        for path in sources("domain")
        for module in imported(path)
        if module.partition(".")[0] not in allowed
    ]
    assert wrong == []


def test_the_domain_is_pure() -> None:
    """No rule reads a clock, a random source, or the world."""
    wrong = [
        f"{name(path)} imports {module}"
        for path in sources("domain")
        for module in imported(path)
        if module.partition(".")[0] in IMPURE_MODULES
    ]
    for path in sources("domain"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if (
                    called in IMPURE_CALLS
                ):
                    wrong.append(f"{name(path)}:{node.lineno} calls {called}")
    assert wrong == []


def public(tree: ast.Module) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every public class, function and method of a module."""
    scopes = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    for node in (node for body in scopes for node in body):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if (
                not node.name.startswith("_")
            ):
                yield node


def test_the_domain_explains_itself() -> None:
    """Every module, public class and public function of the domain has a docstring."""
    wrong = []
    for path in sources("domain"):
        tree = ast.parse(path.read_text())
        wrong += [name(path)] if ast.get_docstring(tree) is None else []
        wrong += [
            f"{name(path)}:{node.lineno} {node.name}"
            for node in public(tree)
            if ast.get_docstring(node) is None
        ]
    assert wrong == []


def test_files_can_be_read_in_one_go() -> None:
    """No file that we write by hand is longer than a reader's patience."""
    by_hand = [path for path in texts() if path != ROOT / "docs/events.md"]
    lengths = {name(path): len(path.read_text().splitlines()) for path in by_hand}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_nothing_is_left_undone() -> None:
    """No file holds a reminder, a stub, or a check that cannot fail."""
    wrong = [
        f"{name(path)}:{number} {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNDONE.search(line) or CANNOT_FAIL.search(line)
    ]
    assert wrong == []


def test_pages_ask_nobody_else() -> None:
    """No page, style or script loads or links anything from another host."""
    wrong = [
        f"{name(path)}:{number} {line.strip()}"
        for path in texts()
        if path.suffix in {".html", ".css", ".js"}
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ELSEWHERE.search(line)
    ]
    assert wrong == []


def test_the_lock_names_no_address() -> None:
    """The lock holds names, versions and hashes, and leaves where to get them to the machine."""
    lock = (ROOT / "requirements.lock").read_text()
    wrong = [
        line for line in lock.splitlines() if re.search(r"://|^\s*--(?!hash=)|\s@\s|^-[a-z]", line)
    ]
    assert wrong == []
    pinned = re.findall(r"^\S+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", lock, re.MULTILINE)) > 0


class Vendored(msgspec.Struct, forbid_unknown_fields=True):
    """What the manifest says of one vendored file."""

    file: str
    name: str
    version: str
    sha256: str
    licence: str


def test_vendored_files_are_what_they_say() -> None:
    """Each file from elsewhere stands in the manifest with version, licence and its own hash."""
    manifest = VENDORED / "manifest.json"
    found = {
        str(path.relative_to(VENDORED)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDORED.rglob("*")
        if path.is_file() and path != manifest
    }
    listed = (
        msgspec.json.decode(manifest.read_bytes(), type=list[Vendored]) if manifest.exists() else []
    )
    assert {entry.file: entry.sha256 for entry in listed} == found
    assert [e.file for e in listed if not (e.name and e.version and e.licence)] == []
