"""Alerts as ClickHouse keeps them."""

# ruff: noqa: S608 - names in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of
from postloop.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAlert:
    """An alert as a whole. What it is not about is None.

    Attributes:
        ended_at: None: it goes on.
        figures: Of its beginning.
        end_figures: Of its end; empty while it goes on.
        text: The newest sentence about it.
    """

    kind: str
    account_id: str | None
    sender_domain: str | None
    mailbox_provider: str | None
    started_at: datetime
    ended_at: datetime | None
    figures: dict[str, Any]
    end_figures: dict[str, Any]
    text: str


_NAMES = tuple(StoredAlert.__slots__)


class AlertReader:
    """Reads `v_delivery_alerts`. Blocks.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused the question.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"

    def alerts(self, kind: str, *, limit: int) -> list[StoredAlert]:
        """Return the alerts of a kind, the newest first."""
        query = (
            f"SELECT {', '.join(_NAMES)} FROM v_delivery_alerts WHERE kind = {{kind:String}} "
            "ORDER BY started_at DESC, mailbox_provider LIMIT {limit:UInt64}"
        )
        rows = rows_of(self._client, query, {"kind": kind, "limit": limit}, where=self._where)
        return [_alert(dict(zip(_NAMES, row, strict=True))) for row in rows]


def _alert(values: dict[str, Any]) -> StoredAlert:
    figures = {name: json.loads(values[name] or "{}") for name in ("figures", "end_figures")}
    return StoredAlert(**{**values, **figures})
