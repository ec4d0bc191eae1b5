"""An alert as `delivery.alert` publishes it: when it starts, and once more when it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID, uuid5

AlertKind = Literal["provider_outage", "slow", "silence", "delays"]
Figure = int | float | str

_NAMESPACE: Final = UUID("3f0c6b52-8d0a-5c1e-a3f7-51b2c9de7704")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose mail an alert is about; None means everybody's."""

    account_id: str | None = None
    sender_domain: str | None = None
    mailbox_provider: str | None = None

    def to_plain(self) -> list[str | None]:
        """Return what `Scope(*...)` by position would be, as JSON knows it."""
        return [self.account_id, self.sender_domain, self.mailbox_provider]

    @classmethod
    def from_plain(cls, plain: list[str | None]) -> Scope:
        """Return the scope that `to_plain` was given.

        Raises:
            ValueError: there are not three names.
        """
        account_id, sender_domain, mailbox_provider = plain
        return cls(account_id=account_id, sender_domain=sender_domain, mailbox_provider=mailbox_provider)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAlert:
    """The start of an incident, or its end.

    Attributes:
        incident_id: The same at the start and the end.
        started_at: Estimated, by event time.
        ended_at: None while it goes on.
        figures: What it is judged by; the names of each kind stand in docs/delivery-time.md.
    """

    incident_id: str
    kind: AlertKind
    scope: Scope
    started_at: datetime
    ended_at: datetime | None
    figures: Mapping[str, Figure]

    @property
    def event_id(self) -> str:
        """The id of this news: a replay repeats it, the end has another one than the start."""
        return str(uuid5(_NAMESPACE, f"{self.incident_id}|{'started' if self.ended_at is None else 'ended'}"))


def incident_id(*, kind: AlertKind, scope: Scope, what: str, started_ms: int) -> str:
    """Return the id of what started then; `what` tells incidents of one kind and scope apart, or is empty."""
    # Lengths first: names come from outside and may hold any mark that would separate them.
    names = "".join("-" if name is None else f"{len(name)}:{name}" for name in (*scope.to_plain(), what))
    return str(uuid5(_NAMESPACE, f"{kind}|{names}|{started_ms}"))
