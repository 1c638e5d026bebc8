"""How views are read and written: whole batches, few statements, plain values.

Three things cost more than the work itself, so they are avoided here:

- Python's `sqlite3` gives up the interpreter's lock at every step of a statement, once per row.
  Where other threads compute, each row waits to get it back. So many rows are written by one
  statement, and many rows are read packed into a single one.
- Binding `None` costs ten times as much as binding a number (0.7 µs against 0.06), for it goes
  through the adapters. So columns of tables that grow with the events are never null: 0 and the
  empty text mean "not yet".
- A key at random touches a page of its own. So rows are written in the order of their keys: five
  times as fast for the look-ups by id.

SQL comes from SQLAlchemy Core and is compiled once, when a module is loaded.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Generic, Self, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql import ClauseElement, ColumnElement, column, literal_column, tuple_
from sqlalchemy.sql.expression import bindparam
from sqlalchemy.sql.schema import SchemaItem

METADATA: Final = MetaData()
"""Every table of the views."""

MAX_VALUES: Final = 16_384
"""Most values that one statement binds; SQLite takes 32,766."""

MAX_ROWS: Final = 128
"""Most rows that one statement writes. Few give up the interpreter's lock seldom enough, and their
program stays in the processor's cache: a thousand take a tenth longer."""

R = TypeVar("R", bound=Struct)
Key = Any
"""A number, or a tuple where several columns make the key."""


def compiled(statement: ClauseElement) -> str:
    """The SQL of a statement, with `?` for its parameters in the order in which they appear."""
    return str(statement.compile(dialect=sqlite.dialect()))


def table(name: str, row: type[Struct], key: Sequence[str], *extras: SchemaItem) -> Table:
    """The table whose rows are the Struct's: STRICT, and stored by its key."""
    columns = []
    for field in msgspec.structs.fields(row):
        kinds = get_args(field.type) if _is_union(field.type) else (field.type,)
        columns.append(
            Column(
                field.name,
                Text() if str in kinds else Integer(),
                primary_key=field.name in key,
                nullable=type(None) in kinds,
                autoincrement=False,
            )
        )
    # A single integer key is SQLite's own row number; other keys need a table without one.
    with_rowid = len(key) == 1
    return Table(
        name, METADATA, *columns, *extras, sqlite_strict=True, sqlite_with_rowid=with_rowid
    )


def _is_union(kind: object) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


class Writer:
    """One statement that writes as many rows as there are: `row` is repeated between the others.

    It goes past SQLAlchemy to the driver, whose cost per statement is a tenth.
    """

    def __init__(self, before: str, row: str, after: str = "") -> None:
        self._before = before
        self._row = row
        self._after = after
        self.columns = columns = row.count("?")
        self._most = min(MAX_ROWS, 1 << (MAX_VALUES // columns).bit_length() - 1)
        self._sql: dict[int, str] = {}

    @classmethod
    def of(cls, statement: ClauseElement, columns: int) -> Self:
        """An INSERT of one row, with what it does on a conflict."""
        row = "(" + ", ".join("?" * columns) + ")"
        before, values, after = compiled(statement).partition(f"VALUES {row}")
        assert values, "an INSERT of one row was expected"
        return cls(f"{before}VALUES ", row, after)

    def write(self, conn: Connection, rows: Iterable[Iterable[Any]]) -> int:
        """Write the rows, in their order; return how many rows of the table that changed."""
        return self.write_flat(conn, list(chain.from_iterable(rows)))

    def write_flat(self, conn: Connection, values: Sequence[Any]) -> int:
        """The same for rows whose values follow each other."""
        driver: Any = conn.connection.driver_connection
        start, size, columns = 0, self._most, self.columns
        changed = 0
        while start < len(values):
            while size * columns > len(values) - start:
                size //= 2  # powers of two: a few statements serve every number of rows
            end = start + size * columns
            changed += driver.execute(self._statement(size), values[start:end]).rowcount
            start = end
        return changed

    def _statement(self, size: int) -> str:
        if size not in self._sql:
            rows = ", ".join([self._row] * size)
            self._sql[size] = f"{self._before}{rows}{self._after}"
        return self._sql[size]


def append_to(target: Table) -> Writer:
    """The writer of rows that are never changed."""
    return Writer.of(insert(target), len(target.columns))


def add_to(target: Table, key: Sequence[str], sums: Sequence[str], last: str = "") -> Writer:
    """The writer that adds to columns of rows that are there, without reading them.

    A row to write has the key, what to add to each sum, and where `last` is named a number that
    this column is raised to.
    """
    names = [f"column{number}" for number in range(1, len(key) + len(sums) + 2)]
    changes = [
        f"{column} = {column} + {by}" for column, by in zip(sums, names[len(key) :], strict=False)
    ]
    columns = len(key) + len(sums)
    if last:
        changes.append(f"{last} = max({last}, {names[columns]})")
        columns += 1
    same = " AND ".join(f"{part} = {name}" for part, name in zip(key, names, strict=False))
    row = "(" + ", ".join("?" * columns) + ")"
    changed = ", ".join(changes)
    update = f"UPDATE {target.name} SET {changed} FROM (VALUES "  # noqa: S608 - our own names
    return Writer(update, row, f") WHERE {same}")


class Shape(Generic[R]):
    """A table and the Struct of its rows, field by field.

    `key` names the columns that tell rows apart. The first of them is the group by which rows are
    loaded together (a single-column key is a group of its own).
    """

    def __init__(self, name: str, row: type[R], key: Sequence[str], *extras: SchemaItem) -> None:
        self.table = target = table(name, row, key, *extras)
        self.key_of: Callable[[R], Key] = attrgetter(*key)
        columns = target.columns
        keys = [columns[part] for part in key]
        stated = insert(target)
        changes = {c.name: stated.excluded[c.name] for c in columns if c.name not in key}
        self.upsert = Writer.of(
            stated.on_conflict_do_update(index_elements=keys, set_=changes), len(columns)
        )
        groups: Any = select(column("value")).select_from(func.json_each(bindparam("groups")))
        self.by_groups = compiled(self._packed().where(keys[0].in_(groups)))
        one = self._packed()
        for part in keys:
            one = one.where(part == bindparam(part.name))
        self.by_key = compiled(one)
        span = select(target).where(keys[0] > bindparam("after"), keys[0] <= bindparam("last"))
        inner = span.order_by(keys[0]).limit(bindparam("limit")).subquery()
        self.by_span = compiled(select(func.json_group_array(func.json_array(*inner.columns))))
        self.delete = _delete(target, keys)
        self._decoder = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]

    def _packed(self) -> Any:  # noqa: ANN401 - SQLAlchemy's Select has a type per column
        return select(func.json_group_array(func.json_array(*self.table.columns)))

    def fetch(self, conn: Connection, sql: str, *values: int | str) -> list[R]:
        """Run one of the packed statements and return its rows."""
        return self._decoder.decode(conn.exec_driver_sql(sql, values).scalar_one())


def _delete(target: Table, keys: Sequence[Column[Any]], *conditions: ColumnElement[bool]) -> str:
    parts: list[Any] = [literal_column(f"value ->> {index}") for index in range(len(keys))]
    wanted = select(*parts).select_from(func.json_each(bindparam("keys")))
    return compiled(target.delete().where(tuple_(*keys).in_(wanted), *conditions))


class Rows(Generic[R]):
    """The rows of a table that a batch touches: loaded once, changed in memory, written once."""

    def __init__(self, shape: Shape[R], conn: Connection) -> None:
        self._shape = shape
        self._conn = conn
        self._rows: dict[Key, R] = {}
        self._changed: set[Key] = set()
        self._dropped: set[Key] = set()

    def load(self, groups: Iterable[int | str]) -> None:
        """Load every row of these groups that is not here yet."""
        wanted = sorted(groups)
        if wanted:
            self._keep(self._shape.fetch(self._conn, self._shape.by_groups, as_json(wanted)))

    def _keep(self, rows: Iterable[R]) -> list[R]:
        kept = []
        for row in rows:
            key = self._shape.key_of(row)
            if key not in self._dropped:
                kept.append(self._rows.setdefault(key, row))
        return kept

    def get(self, key: Key) -> R | None:
        """The row with this key, or None. A row that was not loaded before costs a query."""
        found = self._rows.get(key)
        if found is None and key not in self._dropped:
            values = key if isinstance(key, tuple) else (key,)
            for row in self._shape.fetch(self._conn, self._shape.by_key, *values):
                found = self._rows[key] = row
        return found

    def here(self, key: Key) -> R | None:
        """The row with this key, if it is in memory."""
        return self._rows.get(key)

    def span(self, after: int, last: int, limit: int) -> list[R]:
        """The stored rows with a key above `after` and up to `last`, as they stand in memory."""
        no_offset = 0  # SQLAlchemy writes a LIMIT with an OFFSET
        values = (after, last, limit, no_offset)
        rows = self._shape.fetch(self._conn, self._shape.by_span, *values)
        return sorted(self._keep(rows), key=self._shape.key_of)

    def group(self, group: int | str) -> list[R]:
        """Every row of a group, of those loaded or put before, in the order of their keys."""
        keys = sorted(key for key in self._rows if key[0] == group)
        return [self._rows[key] for key in keys]

    def put(self, row: R) -> None:
        """Keep a new row, or one that was changed."""
        key = self._shape.key_of(row)
        self._rows[key] = row
        self._changed.add(key)
        self._dropped.discard(key)

    def add(self, key: Key, row: R) -> None:
        """Keep a row that is new for certain, under its key."""
        self._rows[key] = row
        self._changed.add(key)

    def drop(self, row: R) -> None:
        """Delete a row."""
        key = self._shape.key_of(row)
        self._rows.pop(key, None)
        self._changed.discard(key)
        self._dropped.add(key)

    def changed(self) -> list[R]:
        """Each row that is to be written, in the order of their keys."""
        return [self._rows[key] for key in sorted(self._changed)]

    def write(self) -> None:
        """Write what was changed, delete what was dropped."""
        rows = [astuple(row) for row in self.changed()]
        self._shape.upsert.write(self._conn, rows)
        if self._dropped:
            keys = sorted(key if isinstance(key, tuple) else (key,) for key in self._dropped)
            self._conn.exec_driver_sql(self._shape.delete, (as_json(keys),))
        self._changed.clear()
        self._dropped.clear()

    def forget(self) -> None:
        """Let go of rows that were written, to bound memory."""
        assert not self._changed, "changes would be lost"
        self._rows.clear()

    def __len__(self) -> int:
        return len(self._rows)


class Totals:
    """A table of counts and sums that events add to: written as changes, never read.

    The first `keys` columns tell rows apart, all others are added to. With `drop_empty` a row
    whose first sum comes to 0 is deleted: what once was counted and is not any more leaves no
    trace, however the events were batched.
    """

    def __init__(
        self, name: str, row: type[Struct], key: Sequence[str], *, drop_empty: bool = False
    ) -> None:
        self.table = target = table(name, row, key)
        columns = list(target.columns)
        keys = columns[: len(key)]
        self.sums = len(columns) - len(keys)
        stated = insert(target)
        added = {c.name: c + stated.excluded[c.name] for c in columns[len(key) :]}
        self.upsert = Writer.of(
            stated.on_conflict_do_update(index_elements=keys, set_=added), len(columns)
        )
        self.delete_empty = (
            _delete(target, keys, columns[len(key)] == literal_column("0")) if drop_empty else ""
        )


class Sums:
    """What a batch adds to the rows of `Totals`."""

    def __init__(self, totals: Totals, conn: Connection) -> None:
        self._totals = totals
        self._conn = conn
        self._sums: dict[tuple[Any, ...], list[int]] = {}

    def add(self, key: tuple[Any, ...], first: int, second: int, third: int = 0) -> None:
        """Add to the sums of a row; a table has two or three."""
        found = self._sums.get(key)
        if found is None:
            self._sums[key] = [first, second, third]
        else:
            found[0] += first
            found[1] += second
            found[2] += third

    def write(self) -> None:
        """Add them to the stored rows."""
        sums = self._totals.sums
        rows = [(*key, *amounts[:sums]) for key, amounts in sorted(self._sums.items())]
        self._totals.upsert.write(self._conn, rows)
        if self._totals.delete_empty:
            less = sorted(key for key, amounts in self._sums.items() if amounts[0] <= 0)
            if less:
                self._conn.exec_driver_sql(self._totals.delete_empty, (as_json(less),))
        self._sums.clear()


def as_json(value: object) -> str:
    """A list of keys as the statements take it."""
    return msgspec.json.encode(value).decode()
