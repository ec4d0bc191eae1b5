"""Keys of the API in ClickHouse: made, listed, revoked, and when each was used last."""

# ruff: noqa: S608 - names in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of, stored_settings, translated
from postloop.adapters.clock import utc_now
from postloop.adapters.migrations import layout_of
from postloop.domain.api_key import RANDOM_BYTES, ApiKey, Kind, NewKey, new_key
from postloop.settings import Settings

_COLUMNS: Final = (
    "key_id",
    "kind",
    "account_id",
    "name",
    "digest",
    "created_at",
    "expires_at",
    "revoked_at",
)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key and when it was used last, None: never, as far as that was written down."""

    key: ApiKey
    last_used_at: datetime | None


def ensure_operator_key(client: Client, settings: Settings) -> NewKey | None:
    """Make an operator's key where none was ever made, so that somebody can use the API; else return None.

    Raises:
        UnavailableError, RefusedError: See ApiKeyStore.
    """
    store = ApiKeyStore(client, settings)
    if any(key.kind == "operator" for key in store.all()):
        return None
    return store.create(kind="operator", name="made by postloop up", expires_at=None, now=utc_now())


class ApiKeyStore:
    """Reads and writes keys. Every method blocks.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused, e.g. because its tables are missing.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        layout = layout_of(settings)
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._keys = layout.readable("api_keys")
        self._uses = layout.readable("api_key_uses")
        self._newest = {"select_sequential_consistency": 1} if layout.cluster else {}
        self._exact = stored_settings(cluster=layout.cluster)

    def create(
        self, *, kind: Kind, account_id: str = "", name: str = "", expires_at: datetime | None, now: datetime
    ) -> NewKey:
        """Make a key, store what is kept of it, and return it with its text.

        Raises:
            DataError: An account's key without an account, or the other way round.
        """
        made = new_key(secrets.token_bytes(RANDOM_BYTES))
        key = ApiKey(
            key_id=made.key_id,
            kind=kind,
            account_id=account_id,
            name=name,
            digest=made.digest,
            created_at=now,
            expires_at=expires_at,
        )
        self._write(key, now)
        return made

    def revoke(self, key_id: str, *, now: datetime) -> ApiKey | None:
        """End a key and return it as it is then; None when there is none. What was revoked stays as it was."""
        found = self._read("WHERE key_id = {key_id:String}", {"key_id": key_id})
        if not found:
            return None
        (key,) = found
        if key.revoked_at is not None:
            return key
        key = replace(key, revoked_at=now)
        self._write(key, now)
        return key

    def all(self) -> list[ApiKey]:
        """Return every key, also those that count no more, the oldest first."""
        return self._read("", {})

    def listed(self) -> list[ListedKey]:
        """Return every key with its last use, the oldest first."""
        query = f"SELECT key_id, max(last_used_at) FROM {self._uses} GROUP BY key_id"
        uses = dict(rows_of(self._client, query, {}, where=self._where))
        return [ListedKey(key, uses.get(key.key_id)) for key in self.all()]

    def note_uses(self, last_used_at: Mapping[str, datetime]) -> None:
        """Write down when keys were used last."""
        if last_used_at:
            self._insert(
                self._uses, ("key_id", "last_used_at"), [[*pair] for pair in last_used_at.items()], {}
            )

    def _read(self, condition: str, said: Mapping[str, Any]) -> list[ApiKey]:
        query = (
            f"SELECT {', '.join(_COLUMNS)} FROM {self._keys} FINAL {condition} ORDER BY created_at, key_id"
        )
        rows = rows_of(self._client, query, said, where=self._where, **self._newest)
        return [ApiKey(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    def _write(self, key: ApiKey, now: datetime) -> None:
        version = (now - datetime.fromtimestamp(0, tz=now.tzinfo)) // _MICROSECOND
        row = [version, *(getattr(key, name) for name in _COLUMNS)]
        self._insert(self._keys, ("version", *_COLUMNS), [row], self._exact)

    def _insert(
        self, table: str, columns: tuple[str, ...], rows: list[list[Any]], settings: dict[str, Any]
    ) -> None:
        with translated(f"insert into {table}"):
            self._client.insert(table, rows, column_names=list(columns), settings=settings)
