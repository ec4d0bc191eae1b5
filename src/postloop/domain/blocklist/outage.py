"""Which entries an outage of a mailbox provider made, and the order that takes them back."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from postloop.domain.blocklist.entry import Entry
from postloop.domain.blocklist.signals import Ordered

ACTOR: Final = "incident-guard"
"""The name under which the guard stands in the audit trail, as an operator."""

_NAMESPACE: Final = UUID("5d0b8a0e-6a0f-5f0c-9a35-1f2c7b6f4e11")


def taken_back(entry: Entry, *, provider: str, since_ms: int, incident_id: str) -> Ordered | None:
    """Return the order that releases an entry which only hard bounces of an outage made; None for any other.

    An address that was blocked before the outage keeps its block, also where the outage extended it: it did bounce.
    What a person said (a complaint, a block by hand) is nothing that an outage could have caused.

    Args:
        since_ms: The start of the outage, event time.
    """
    told = entry.told
    if told is None or entry.provider != provider or told.block.starts_ms < since_ms:
        return None
    if any(e.kind not in ("hard", "soft") for e in entry.evidence):
        return None
    hard_ms = [e.at_ms for e in entry.evidence if e.kind == "hard"]
    if not hard_ms:
        return None
    return Ordered(
        scope=entry.scope,
        recipient=entry.recipient,
        command_id=str(uuid5(_NAMESPACE, f"{incident_id}|{entry.scope}|{entry.recipient}")),
        command="rollback",
        actor_kind="operator",
        actor_id=ACTOR,
        reason=f"{provider} refused everybody (incident {incident_id})",
        requested_ms=max(hard_ms),
    )
