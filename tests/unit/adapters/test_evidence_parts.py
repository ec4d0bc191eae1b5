"""Counts that cannot be are no evidence, and do not make a sender one without mail."""

from __future__ import annotations

from datetime import UTC, date, datetime

from postloop.adapters.evidence_parts import evidence_by_subject
from postloop.domain.reputation.counts import COUNT_NAMES

AS_OF = datetime(2026, 3, 2, 10, tzinfo=UTC)


def row(domain: str, cube: str, **counts: int) -> tuple[object, ...]:
    return ("acme", domain, cube, "7d", date(2026, 3, 2), *(counts.get(name, 0) for name in COUNT_NAMES))


def test_of_more_refusals_than_bounces_there_is_no_evidence() -> None:
    rows = [
        row("a.example", "domain", delivered_count=10),
        row("a.example", "bounce", content_refusal_count=1),
        row("b.example", "domain", delivered_count=10),
    ]
    found = dict(evidence_by_subject(rows, dimension_count=2, as_of=AS_OF, representative_count=3_000))
    assert found["acme", "a.example"] is None
    evidence = found["acme", "b.example"]
    assert evidence is not None
    assert evidence.counts("7d").delivered_count == 10
