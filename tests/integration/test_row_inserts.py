"""Rows that are inserted with types that were asked for before."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from postloop.adapters.clickhouse import translated
from postloop.adapters.errors import RefusedError, UnfitError
from postloop.adapters.row_inserts import RowInserts
from tests.support.database import Database, bare_database


@pytest.fixture
def db() -> Database:
    database = bare_database()
    database.client.command("CREATE TABLE t (name String, size UInt8) ENGINE = MergeTree ORDER BY name")
    return database


def stored(db: Database) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in db.client.query("SELECT name, size FROM t ORDER BY name").result_rows]


def test_the_server_is_asked_once_for_the_types_of_columns(db: Database) -> None:
    inserts = RowInserts(db.client, {"async_insert": 0})
    with patch.object(db.client, "_execute_operation", side_effect=db.client._execute_operation) as questions:
        inserts.insert("t", ("name", "size"), [["a", 1], ["b", 2]])
        inserts.insert("t", ("name", "size"), [["c", "d"], [3, 4]], by_column=True)
        assert questions.call_count == 1
        inserts.insert("t", ("name",), [["e"]])
        assert questions.call_count == 2
    assert stored(db) == [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 0)]


def test_types_that_a_migration_changed_are_asked_for_when_a_value_does_not_fit(db: Database) -> None:
    inserts = RowInserts(db.client, {"async_insert": 0})
    inserts.insert("t", ("name", "size"), [["a", 1]])
    db.client.command("ALTER TABLE t MODIFY COLUMN size UInt32")
    inserts.insert("t", ("name", "size"), [["b", 2]])  # the server makes one of the other
    inserts.insert("t", ("name", "size"), [["c", 100_000]])
    assert stored(db) == [("a", 1), ("b", 2), ("c", 100_000)]
    with pytest.raises(UnfitError), translated("insert into t"):
        inserts.insert("t", ("name", "size"), [["d", 2**32]])


def test_types_of_a_table_that_was_made_anew_are_asked_for_after_the_first_failure(db: Database) -> None:
    inserts = RowInserts(db.client, {"async_insert": 0})
    inserts.insert("t", ("name", "size"), [["a", 1]])
    db.client.command("DROP TABLE t")
    for _ in range(2):
        with pytest.raises(RefusedError), translated("insert into t"):
            inserts.insert("t", ("name", "size"), [["a", 1]])
    db.client.command("CREATE TABLE t (name UInt8, size String) ENGINE = MergeTree ORDER BY name")
    inserts.insert("t", ("name", "size"), [[1, "a"]])
    assert stored(db) == [(1, "a")]
