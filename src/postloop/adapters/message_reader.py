"""The events of messages in ClickHouse: by message id, and by recipient.

Raw events are read, by the skip indexes on both columns: a message has a handful of them, and no rollup knows it.
"""

# ruff: noqa: S608 - names in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of
from postloop.adapters.migrations import layout_of
from postloop.domain.message import MessageEvent
from postloop.settings import Settings

MAX_EVENTS: Final = 5_000
"""Events of one answer: a message has about five, 200 of them with 12 opens each have 2,800."""
MAX_OF_KIND: Final = 50
"""Events of one kind of a message to one recipient, where there are more in all: it is a test, a loop, or machines."""
_NAMES: Final = tuple(field.name for field in fields(MessageEvent))
# A look-up takes milliseconds: what takes so long would only be asked for again. Little is read, so more threads cost
# more than they gain.
_LIMITS: Final = {"max_execution_time": 10, "max_threads": 1}
# Of the copies of an event the first one in the log stands; a repair removes the others.
_ONCE: Final = (
    "ORDER BY topic_id, `partition`, `offset`, `index` "
    "LIMIT 1 BY account_id, event_type, event_id LIMIT {limit:UInt32}"
)
_COPY: Final = "account_id, message_id, recipient"
# Where there are more events than an answer holds the kinds take turns: whatever is left out, a verdict still has the
# newest of each final event, deferral and reaction, and the first of the sends and opens. Opens, which may be any
# number, come last. Of one message with 300,000 events this takes 1.6 s, and windows over the events take 8 s.
_CHOSEN: Final = f"""SELECT account_id, event_type, item.2 FROM (
    SELECT {_COPY}, event_type, outcome, dense_rank() OVER (ORDER BY {_COPY}) AS place,
        arraySlice(arraySort(groupUniqArray(
            (if(outcome IN ('accepted', 'open'), 1, -1) * toUnixTimestamp64Milli(occurred_at), event_id)
        )), 1, {{{{of_kind:UInt32}}}}) AS found
    FROM {{events}} WHERE {{conditions}} GROUP BY {_COPY}, event_type, outcome, open_kind
)
ARRAY JOIN found AS item, arrayEnumerate(found) AS nth WHERE place <= {{{{copies:UInt32}}}}
ORDER BY nth, outcome = 'open', {_COPY} LIMIT {{{{limit:UInt32}}}}"""
_COUNTS: Final = f"""SELECT {_COPY}, uniqExact(event_type, event_id)
FROM {{events}} WHERE {{conditions}} GROUP BY {_COPY} ORDER BY {_COPY} LIMIT {{{{copies:UInt32}}}}"""


class MessagePlace(NamedTuple):
    """Where a message stands in the list of a recipient, which begins with the newest."""

    first_ms: int
    account_id: str
    message_id: str


class MessageCopy(NamedTuple):
    """What is known of a message to one recipient.

    Attributes:
        events: Each once, in no order; at least one of each kind (outcome, and who opened it).
        is_complete: These are all. Where they are not, the newest final event is among them.
    """

    events: list[MessageEvent]
    is_complete: bool


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

    def copies(
        self, message_id: str, *, account_id: str | None = None, recipient: str | None = None, limit: int
    ) -> list[MessageCopy]:
        """Return what is known of a message, for each account and recipient, in this order.

        Args:
            message_id: As the sender gave it.
            account_id: Only its message; None: of every account that has one of this id.
            recipient: In canonical form; None: everybody it was sent to.
            limit: How many accounts and recipients are wanted, up to a few hundred: of so many none is left out.
        """
        given = {"account_id": account_id, "recipient": recipient}
        said = {name: value for name, value in given.items() if value is not None}
        conditions = [f"{name} = {{{name}:String}}" for name in said]
        return self._found(
            ["message_id = {message_id:String}", *conditions], {"message_id": message_id, **said}, limit=limit
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

    def copies_at(
        self, recipient: str, places: Sequence[MessagePlace], *, account_id: str | None = None
    ) -> list[MessageCopy]:
        """Return what is known of messages to a recipient, by account and message id.

        Args:
            recipient: In canonical form.
            places: The messages, by what `places` returned.
            account_id: As it was given there.
        """
        if not places:
            return []
        own, said = _of_account(account_id)
        # The ids once more by themselves: they are what the index finds.
        condition = (
            f"recipient = {{recipient:String}} AND message_id IN {{ids:Array(String)}}{own} AND "
            "has(arrayZip({accounts:Array(String)}, {ids:Array(String)}), (toString(account_id), message_id))"
        )
        lists = {
            "accounts": [place.account_id for place in places],
            "ids": [place.message_id for place in places],
        }
        return self._found([condition], {"recipient": recipient, **lists, **said}, limit=len(places))

    def _found(self, conditions: Sequence[str], said: dict[str, Any], *, limit: int) -> list[MessageCopy]:
        condition = " AND ".join(conditions)
        events = self._once(condition, {**said, "limit": MAX_EVENTS + 1})
        if len(events) <= MAX_EVENTS:
            return [MessageCopy(known, is_complete=True) for known in _by_copy(events).values()]
        parts = {"events": self._events, "conditions": condition}
        bounds = {**said, "of_kind": MAX_OF_KIND, "copies": limit, "limit": MAX_EVENTS}
        counts = {tuple(copy): count for *copy, count in self._rows(_COUNTS.format(**parts), bounds)}
        chosen = f"(account_id, event_type, event_id) IN ({_CHOSEN.format(**parts)})"
        copies = _by_copy(self._once(f"{condition} AND {chosen}", bounds))
        return [
            MessageCopy(known, is_complete=len(known) == counts.get(copy)) for copy, known in copies.items()
        ]

    def _once(self, condition: str, said: dict[str, Any]) -> list[MessageEvent]:
        query = f"SELECT {', '.join(_NAMES)} FROM {self._events} WHERE {condition} {_ONCE}"
        return [MessageEvent(**dict(zip(_NAMES, row, strict=True))) for row in self._rows(query, said)]

    def _rows(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        return rows_of(self._client, query, parameters, where=self._where, **_LIMITS)


def _of_account(account_id: str | None) -> tuple[str, dict[str, str]]:
    """Return the condition on the account and its parameter, both empty for the operator."""
    if account_id is None:
        return "", {}
    return " AND account_id = {account_id:String}", {"account_id": account_id}


def _by_copy(events: Iterable[MessageEvent]) -> dict[tuple[str, ...], list[MessageEvent]]:
    """Return the events of each message to one recipient, sorted by account, message and recipient."""
    copies: dict[tuple[str, ...], list[MessageEvent]] = {}
    for event in events:
        copies.setdefault((event.account_id, event.message_id, event.recipient), []).append(event)
    return dict(sorted(copies.items()))
