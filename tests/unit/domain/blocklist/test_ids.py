"""Ids of events are UUIDs of version 5 of their cause: a replay repeats them, in this release and the next."""

from __future__ import annotations

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.blocklist.changes import blocked_event_id, entry_id, released_event_id

NAMESPACE = UUID("0b7d6a52-9a51-5a6f-8d0e-3f4f1a6f2c77")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(scope=TEXTS, recipient=TEXTS, cause=TEXTS, ended_ms=st.integers(0, 1 << 50))
def test_ids_are_what_the_standard_library_makes(
    scope: str, recipient: str, cause: str, ended_ms: int
) -> None:
    insert = blocked_event_id(scope=scope, recipient=recipient, cause_id=cause)
    assert insert == str(uuid5(NAMESPACE, f"insert|{scope}|{cause}|{recipient}"))
    entry = entry_id(scope=scope, recipient=recipient, ended_ms=ended_ms)
    assert entry == str(uuid5(NAMESPACE, f"entry|{scope}|{ended_ms}|{recipient}"))
    expire = released_event_id(entry_id=entry, cause="lease_ended", cause_id=cause)
    assert expire == str(uuid5(NAMESPACE, f"expire|{entry}|lease_ended|{cause}"))
