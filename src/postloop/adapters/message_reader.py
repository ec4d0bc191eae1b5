"""The events of messages in ClickHouse: by message id, and by recipient.

Raw events are read, by the skip indexes on both columns: a message has a handful of them, and no rollup knows it.
"""

# ruff: noqa: S608 - names in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of
from postloop.adapters.migrations import layout_of
from postloop.domain.message import MessageEvent
from postloop.settings import Settings

MAX_EVENTS: Final = 2_000
"""Events of one answer: a message has about five, so what has more is a test or a loop."""
_NAMES: Final = tuple(field.name for field in fields(MessageEvent))
# A look-up takes milliseconds: what takes so long would only be asked for again. Little is read, so more threads cost
# more than they gain.
_LIMITS: Final = {"max_execution_time": 10, "max_threads": 1}
# Of the copies of an event the first one in the log stands; a repair removes the others.
_ONCE: Final = (
    "ORDER BY topic_id, `partition`, `offset`, `index` "
    "LIMIT 1 BY account_id, event_type, event_id LIMIT {limit:UInt32}"
)


class MessagePlace(NamedTuple):
    """Where a message stands in the list of a recipient, which begins with the newest."""

    first_ms: int
    account_id: str
    message_id: str


_NEWEST: Final = MessagePlace(2**62, "", "")


class MessageReader:
    """Reads events of messages. Every method blocks.

    An account that is given is part of the query: another one's message is not found, whatever its id.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused the question.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._events = layout_of(settings).readable("events")

    def events(
        self, message_id: str, *, account_id: str | None = None, recipient: str | None = None
    ) -> list[MessageEvent]:
        """Return the events of a message, each once, at most MAX_EVENTS.

        Args:
            message_id: As the sender gave it.
            account_id: Only its message; None: of every account that has one of this id.
            recipient: In canonical form; None: everybody it was sent to.
        """
        given = {"account_id": account_id, "recipient": recipient}
        said = {name: value for name, value in given.items() if value is not None}
        conditions = [f"{name} = {{{name}:String}}" for name in said]
        return self._found(
            ["message_id = {message_id:String}", *conditions], {"message_id": message_id, **said}
        )

    def places(
        self, recipient: str, *, account_id: str | None = None, limit: int, after: MessagePlace | None = None
    ) -> list[MessagePlace]:
        """Return the messages to a recipient in the order of their first event, the newest first.

        Args:
            recipient: In canonical form.
            account_id: Only its messages.
            limit: How many at most.
            after: The last place that was seen.
        """
        own, said = _of_account(account_id)
        query = (
            "SELECT toUnixTimestamp64Milli(min(occurred_at)) AS first_ms, toString(account_id) AS account, message_id "
            f"FROM {self._events} WHERE recipient = {{recipient:String}}{own} GROUP BY account, message_id "
            "HAVING (first_ms, account, message_id) < ({ms:Int64}, {after_account:String}, {after_id:String}) "
            "ORDER BY first_ms DESC, account DESC, message_id DESC LIMIT {limit:UInt32}"
        )
        place = dict(zip(("ms", "after_account", "after_id"), after or _NEWEST, strict=True))
        return [
            MessagePlace(*row)
            for row in self._rows(query, {"recipient": recipient, "limit": limit, **place, **said})
        ]

    def events_at(
        self, recipient: str, places: Sequence[MessagePlace], *, account_id: str | None = None
    ) -> list[MessageEvent]:
        """Return the events of messages to a recipient, each once, at most MAX_EVENTS.

        Args:
            recipient: In canonical form.
            places: The messages, by what `places` returned.
            account_id: As it was given there.
        """
        if not places:
            return []
        own, said = _of_account(account_id)
        condition = f"recipient = {{recipient:String}} AND message_id IN {{ids:Array(String)}}{own}"
        ids = sorted({place.message_id for place in places})
        return self._found([condition], {"recipient": recipient, "ids": ids, **said})

    def _found(self, conditions: Sequence[str], said: dict[str, Any]) -> list[MessageEvent]:
        query = f"SELECT {', '.join(_NAMES)} FROM {self._events} WHERE {' AND '.join(conditions)} {_ONCE}"
        rows = self._rows(query, {**said, "limit": MAX_EVENTS})
        return [MessageEvent(**dict(zip(_NAMES, row, strict=True))) for row in rows]

    def _rows(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        return rows_of(self._client, query, parameters, where=self._where, **_LIMITS)


def _of_account(account_id: str | None) -> tuple[str, dict[str, str]]:
    """Return the condition on the account and its parameter, both empty for the operator."""
    if account_id is None:
        return "", {}
    return " AND account_id = {account_id:String}", {"account_id": account_id}
