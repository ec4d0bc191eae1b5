"""Outcomes by provider, minute, account and sender domain, counted from decoded events."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from postloop.domain.incident import MINUTE_MS, is_guarded

OutcomeCounts = dict[tuple[str, int, str, str], tuple[int, int]]
"""(provider, minute_ms, account_id, sender_domain) -> (outcomes, hard bounces for the recipient's fault)."""

_KEYS: Final = ("mailbox_provider", "minute", "account_id", "sender_domain")


def delivery_counts(table: Any) -> OutcomeCounts:
    """Count deliveries to guarded providers."""
    return _counts(table, pa.nulls(len(table), pa.int64()).fill_null(0))


def bounce_counts(table: Any) -> OutcomeCounts:
    """Count final bounces of guarded providers; a deferral is no outcome."""
    is_final = pc.is_in(table.column("outcome"), pa.array(["hard_bounce", "soft_bounce"]))
    final = table.filter(is_final)
    hard = pc.and_(final.column("hard"), pc.equal(final.column("fault"), "recipient"))
    return _counts(final, pc.cast(hard, pa.int64()))


def _counts(table: Any, hard: Any) -> OutcomeCounts:
    if not len(table):
        return {}
    minute = pc.divide(table.column("occurred_at").cast(pa.int64()), MINUTE_MS)
    columns = [
        table.column("mailbox_provider"),
        minute,
        table.column("account_id"),
        table.column("sender_domain"),
    ]
    grouped = (
        pa.table([*columns, hard], names=[*_KEYS, "hard"])
        .group_by(list(_KEYS))
        .aggregate([("hard", "count"), ("hard", "sum")])
    )
    rows = zip(
        *(grouped.column(name).to_pylist() for name in (*_KEYS, "hard_count", "hard_sum")), strict=True
    )
    return {
        (provider, minute * MINUTE_MS, account_id, sender_domain): (count, hard_count)
        for provider, minute, account_id, sender_domain, count, hard_count in rows
        if is_guarded(provider)
    }
