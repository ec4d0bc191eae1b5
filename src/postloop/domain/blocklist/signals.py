"""What can happen to an address, as far as the blocklist cares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

GLOBAL: Final = "global"
"""The scope of an entry that blocks an address for every sender domain."""
MAX_SMTP_TEXT_CHARS: Final = 512

EvidenceKind = Literal["hard", "soft", "complaint", "unsubscribe", "manual"]
CommandName = Literal["block", "unblock", "extend", "opt_in", "rollback", "release_held", "discard_held"]
HOLD_COMMANDS: Final = frozenset({"release_held", "discard_held"})
"""Commands about the bounces of a mailbox provider that the incident guard holds: their recipient is the provider."""
ActorKind = Literal["account", "operator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One fact that speaks for a block.

    Attributes:
        at_ms: When it happened (event time), in milliseconds since 1970.
        account_id: Whose mail it was; empty where an operator blocked by hand.
        reason: A bounce reason, or complaint, unsubscribe, manual.
        event_id: Of the input event, or the id of the command.
        until_ms: When a block by hand ends by itself; None: never.
    """

    kind: EvidenceKind
    at_ms: int
    account_id: str
    reason: str
    event_id: str
    smtp_text: str = ""
    rule: str = ""
    rule_version: str = ""
    until_ms: int | None = None

    @property
    def order(self) -> tuple[int, str, str]:
        """What evidence is sorted by: time, then the id, so that the order does not depend on arrival."""
        return self.at_ms, self.event_id, self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """Evidence about an address arrived."""

    type: Literal["reported"] = "reported"
    scope: str
    recipient: str
    provider: str
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A message to the address was accepted."""

    type: Literal["delivered"] = "delivered"
    scope: str = GLOBAL
    recipient: str
    at_ms: int
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """Somebody asks for a change. The identity of the actor was proved elsewhere.

    Attributes:
        owns_domain: The account has sent mail from the sender domain that is the scope.
        until_ms: When a block or an extension is to end; None: the default of the command.
    """

    type: Literal["ordered"] = "ordered"
    scope: str
    recipient: str
    command_id: str
    command: CommandName
    actor_kind: ActorKind
    actor_id: str
    reason: str
    requested_ms: int
    owns_domain: bool = False
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """Nothing happened but time: leases may have run out."""

    type: Literal["time"] = "time"
    scope: str
    recipient: str


Signal = Reported | Delivered | Ordered | TimePassed


def bounce_evidence(
    *,
    outcome: str,
    reason: str,
    hard: bool,
    fault: str,
    at_ms: int,
    account_id: str,
    event_id: str,
    smtp_text: str = "",
    rule: str = "",
    rule_version: str = "",
    soft_reasons: frozenset[str],
) -> Evidence | None:
    """Return what a bounce says about its recipient; None when it says nothing against it.

    Only a final bounce for the recipient's own fault counts: a deferral is still tried, and what a sender, the
    network or nobody known is to blame for must not silence a person.
    """
    if outcome not in ("hard_bounce", "soft_bounce") or fault != "recipient":
        return None
    if not hard and reason not in soft_reasons:
        return None
    return Evidence(
        kind="hard" if hard else "soft",
        at_ms=at_ms,
        account_id=account_id,
        reason=reason,
        event_id=event_id,
        smtp_text=smtp_text[:MAX_SMTP_TEXT_CHARS],
        rule=rule,
        rule_version=rule_version,
    )
