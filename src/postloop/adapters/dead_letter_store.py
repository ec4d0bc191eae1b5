"""Dead letters as ClickHouse keeps them: listed, shown, and remembered as redriven."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of, translated
from postloop.adapters.migrations import layout_of
from postloop.adapters.row_inserts import RowInserts
from postloop.contracts.deadletter import VALUE_OMITTED
from postloop.contracts.report_events import IMPORT_TOPIC_PREFIX
from postloop.settings import Settings

_NULL_VALUE: Final = "null_value"
# A dead letter may carry 1.4 MB: few at a time.
_PAGE: Final = 50
_PREVIEW_BASE64: Final = 400
_COLUMNS: Final = (
    "event_id, topic, topic_id, `partition`, `offset`, `index`, key_base64, {value} AS shown, "
    "toInt64(length(value_base64)) AS value_length, stage, error_code, errors, at"
)


@dataclass(frozen=True)
class DeadLetter:
    """A stored dead letter. `value` is the original bytes; in lists, only their beginning."""

    event_id: str
    topic: str
    topic_id: str
    partition: int
    offset: int
    index: int | None
    key: bytes
    value: bytes
    value_bytes: int
    stage: str
    error_code: str
    errors: tuple[Mapping[str, str], ...]
    at: datetime
    redriven_at: datetime | None = None

    @property
    def is_record(self) -> bool:
        """Whether it was a record of a topic; a message of an import was none and cannot be redriven."""
        return not self.topic.startswith(IMPORT_TOPIC_PREFIX)

    @property
    def is_whole(self) -> bool:
        """Whether its bytes are there: the largest ones stand where they were read, and nowhere else."""
        return bool(self.value) or all(error.get("code") != VALUE_OMITTED for error in self.errors)

    @property
    def original_value(self) -> bytes | None:
        """The value as it stood on the topic; None where it was a null value."""
        return None if self.error_code == _NULL_VALUE and not self.value else self.value

    @property
    def original_key(self) -> bytes | None:
        """The key as it stood on the topic. An empty key and none look the same and go the same way."""
        return self.key or None


@dataclass(frozen=True)
class Filter:
    """Which dead letters are meant; what is empty is not asked for."""

    topic: str = ""
    code: str = ""
    since: datetime | None = None

    def conditions(self) -> tuple[str, dict[str, Any]]:
        """Return the WHERE expression and its parameters."""
        wanted = {
            "topic = {topic:String}": ("topic", self.topic),
            "error_code = {code:String}": ("code", self.code),
            "at >= {since:DateTime64(3)}": ("since", self.since),
        }
        used = {condition: pair for condition, pair in wanted.items() if pair[1]}
        return " AND ".join(used) or "1", dict(used.values())


class DeadLetterStore:
    """Reads `dead_letters` and keeps `dead_letter_redrives`."""

    def __init__(self, client: Client, settings: Settings) -> None:
        layout = layout_of(settings)
        self._client = client
        self._inserts = RowInserts(client, {"async_insert": 0})
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._letters = layout.readable("dead_letters")
        self._redrives = layout.readable("dead_letter_redrives")

    def keep(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store dead letters by their rows; repeats replace each other."""
        with translated(self._where):
            insert_dead_letters(self._inserts, rows)

    def newest(self, wanted: Filter, *, limit: int) -> list[DeadLetter]:
        """Return the newest dead letters first, with the beginning of their values."""
        where, parameters = wanted.conditions()
        columns = _COLUMNS.format(value=f"substring(value_base64, 1, {_PREVIEW_BASE64})")
        query = (
            f"SELECT {columns} FROM {self._letters} FINAL "  # noqa: S608
            f"WHERE {where} ORDER BY at DESC, event_id LIMIT {{limit:UInt64}}"
        )
        return self._with_redrives(self._read(query, {**parameters, "limit": limit}))

    def ids(self, wanted: Filter) -> list[str]:
        """Return the ids of all dead letters that are meant, oldest first."""
        where, parameters = wanted.conditions()
        query = f"SELECT event_id FROM {self._letters} FINAL WHERE {where} ORDER BY at, event_id"  # noqa: S608
        return [row[0] for row in self._rows(query, parameters)]

    def find(self, event_ids: Sequence[str]) -> Iterator[list[DeadLetter]]:
        """Yield the dead letters with these ids, whole, a few at a time; unknown ids are left out."""
        query = (
            f"SELECT {_COLUMNS.format(value='value_base64')} FROM {self._letters} FINAL "  # noqa: S608
            "WHERE event_id IN {ids:Array(String)} ORDER BY at, event_id"
        )
        for first in range(0, len(event_ids), _PAGE):
            yield self._with_redrives(self._read(query, {"ids": list(event_ids[first : first + _PAGE])}))

    def redriven(self, event_ids: Sequence[str]) -> dict[str, datetime]:
        """Return when each of these dead letters was last redriven; those that never were are absent."""
        query = (
            f"SELECT event_id, max(redriven_at) FROM {self._redrives} "  # noqa: S608
            "WHERE event_id IN {ids:Array(String)} GROUP BY event_id"
        )
        return dict(self._rows(query, {"ids": list(event_ids)}))

    def remember_redriven(self, event_ids: Sequence[str], *, at: datetime) -> None:
        """Remember that these were published again; call it when the broker has acknowledged them."""
        with translated(self._where):
            self._inserts.insert(
                "dead_letter_redrives",
                ["event_id", "redriven_at"],
                [[event_id, at] for event_id in event_ids],
            )

    def _with_redrives(self, letters: list[DeadLetter]) -> list[DeadLetter]:
        redriven = self.redriven([letter.event_id for letter in letters]) if letters else {}
        return [replace(letter, redriven_at=redriven.get(letter.event_id)) for letter in letters]

    def _read(self, query: str, parameters: dict[str, Any]) -> list[DeadLetter]:
        return [_letter(row) for row in self._rows(query, parameters)]

    def _rows(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        return rows_of(self._client, query, parameters, where=self._where)


def insert_dead_letters(
    inserts: RowInserts, rows: Sequence[Mapping[str, Any]], *, table: str = "dead_letters"
) -> None:
    """Store rows of dead letters, at least one; the client's errors are not translated."""
    names = list(rows[0])
    inserts.insert(table, names, [[row[name] for name in names] for row in rows])


def _letter(row: Sequence[Any]) -> DeadLetter:
    event_id, topic, topic_id, partition, offset, index, key, value, length, stage, code, errors, at = row
    whole = len(value) == length
    return DeadLetter(
        event_id=event_id,
        topic=topic,
        topic_id=topic_id,
        partition=partition,
        offset=offset,
        index=None if index < 0 else index,
        key=b64decode(key),
        value=b64decode(value),
        value_bytes=len(b64decode(value)) if whole else length * 3 // 4,
        stage=stage,
        error_code=code,
        errors=tuple(json.loads(errors)),
        at=at,
    )
