"""The memory of deliveries read lately: an image proxy that fetches right after one was not sent by a reader.

The open names its sending at best, and another event its delivery, which may be read before or after it. So opens are
judged here once more when their run is put together (docs/decisions/0013-opens-at-once.md).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from postloop.contracts.events import Event
from postloop.contracts.fields import milliseconds
from postloop.contracts.rows import recipient_facts
from postloop.domain.engagement import AT_ONCE_S, OpenReason, open_kind_by_delivery
from postloop.domain.event_types import OpenKind

Integers = npt.NDArray[np.int64]

MAX_DELIVERIES: Final = 200_000
"""16 bytes each. Whoever reads 2,000 deliveries a second knows those of 100 s."""
_JUDGED: Final[OpenReason] = "image_proxy"
_NAMES: Final = ("account_id", "message_id", "recipient")
_SEPARATOR: Final = "\0"
_MOMENT_BITS: Final = 42
"""Milliseconds since 1970 until the year 2109."""


class RecentDeliveries:
    """A 64-bit hash of account, message and recipient, and the moment, of the newest deliveries read in this process.

    One thread remembers, others may judge meanwhile.
    """

    def __init__(self, *, max_count: int = MAX_DELIVERIES) -> None:
        # A ring without an index: it is looked through once a run, which costs less than to give each delivery its
        # place (two generations of dicts: twice the processor, fifteen times the memory).
        self._hashes = np.zeros(max_count, dtype=np.int64)
        self._moments_ms = np.zeros(max_count, dtype=np.int64)
        self._written = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return min(self._written, len(self._hashes))

    def remember_events(self, events: Sequence[Event]) -> None:
        """Remember deliveries that were decoded one by one."""
        recipients = [recipient_facts(event["recipient"]).recipient for event in events]
        messages = [
            f"{event['account_id']}{_SEPARATOR}{event['message_id']}{_SEPARATOR}{recipient}"
            for event, recipient in zip(events, recipients, strict=True)
        ]
        moments_ms = [milliseconds(event["occurred_at"]) for event in events]
        self._remember(_hashes(messages), np.array(moments_ms, dtype=np.int64))

    def remember_table(self, table: pa.Table) -> None:
        """Remember deliveries that are columns already."""
        self._remember(_hashes_of(table), _moments_of(table))

    def judged(self, rows: pa.Table) -> pa.Table:
        """Return the rows with those opens as machines that came at once after a known delivery."""
        if "open_reason" not in rows.column_names or not len(self):
            return rows
        is_judged = pc.equal(rows.column("open_reason"), _JUDGED).fill_null(False)
        opens = rows.select([*_NAMES, "occurred_at"]).filter(is_judged)
        if not len(opens):
            return rows
        places = np.flatnonzero(is_judged.to_numpy())
        found, since_ms = self._since_delivery(_hashes_of(opens), _moments_of(opens))
        # The rule is asked about these only: most opens come hours later.
        is_near = since_ms <= AT_ONCE_S * 1000
        verdicts = {
            place: open_kind_by_delivery(_JUDGED, since_delivery_s=since / 1000)
            for place, since in zip(places[found[is_near]].tolist(), since_ms[is_near].tolist(), strict=True)
        }
        return _with_verdicts(rows, verdicts)

    def _remember(self, hashes: Integers, moments_ms: Integers) -> None:
        size = len(self._hashes)
        hashes, moments_ms = hashes[-size:], moments_ms[-size:]
        with self._lock:
            start = self._written % size
            head = min(len(hashes), size - start)
            for ring, news in ((self._hashes, hashes), (self._moments_ms, moments_ms)):
                ring[start : start + head] = news[:head]
                ring[: len(news) - head] = news[head:]
            self._written += len(hashes)

    def _since_delivery(self, hashes: Integers, moments_ms: Integers) -> tuple[Integers, Integers]:
        """Return which opens follow a known delivery of their message, and how long after it they came.

        Of several deliveries (sent twice, or told by two servers) it is the last before the open: each brings a fetch
        of its own, so any within the two seconds decides, and if one is, the last is.
        """
        wanted = np.unique(hashes)
        probe = np.zeros(1 << 16, dtype=np.bool_)
        probe[_sixteen_bits(wanted)] = True
        with self._lock:
            # "wrap" finds nothing to wrap and is twice as fast as the check of every index.
            near = np.flatnonzero(probe.take(_sixteen_bits(self._hashes[: len(self)]), mode="wrap"))
            known, delivered_ms = self._hashes[near], self._moments_ms[near]
        numbers = np.searchsorted(wanted, known).clip(max=len(wanted) - 1)
        is_wanted = wanted[numbers] == known
        deliveries = np.sort((numbers[is_wanted] << _MOMENT_BITS) + delivered_ms[is_wanted])
        opens = (np.searchsorted(wanted, hashes) << _MOMENT_BITS) + moments_ms
        before = np.searchsorted(deliveries, opens, side="right") - 1
        found = np.flatnonzero(before >= 0)
        last = deliveries[before[found]]
        is_same = last >> _MOMENT_BITS == opens[found] >> _MOMENT_BITS
        found, last = found[is_same], last[is_same]
        return found, opens[found] - last


def _hashes(messages: Iterable[str]) -> Integers:
    # Python's own: a 64-bit hash whose secret changes with the process, as this memory does.
    return np.fromiter(map(hash, messages), dtype=np.int64)


def _hashes_of(table: pa.Table) -> Integers:
    columns = (table.column(name) for name in _NAMES)
    return _hashes(pc.binary_join_element_wise(*columns, _SEPARATOR).to_pylist())


def _moments_of(table: pa.Table) -> Integers:
    moments: Integers = np.asarray(table.column("occurred_at").combine_chunks().view(pa.int64()))
    return moments


def _sixteen_bits(hashes: Integers) -> npt.NDArray[np.uint16]:
    return hashes.view(np.uint16)[::4]


def _with_verdicts(rows: pa.Table, verdicts: Mapping[int, tuple[OpenKind, OpenReason]]) -> pa.Table:
    changed = {place: verdict for place, verdict in verdicts.items() if verdict[1] != _JUDGED}
    if not changed:
        return rows
    mask = np.zeros(len(rows), dtype=np.bool_)
    mask[list(changed)] = True
    for name, values in zip(("open_kind", "open_reason"), zip(*changed.values(), strict=True), strict=True):
        place, column = rows.column_names.index(name), rows.column(name)
        told = pc.replace_with_mask(column, pa.array(mask), pa.array(values, column.type))
        rows = rows.set_column(place, name, told)
    return rows
