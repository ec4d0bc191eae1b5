"""`delivery.alert`: something about the delivery of mail needs somebody's eyes, or no longer does."""

from __future__ import annotations

import json
from typing import Final
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

from postloop.contracts.fields import OptionalTime, SchemaVersion, WireTime, moment
from postloop.domain.alert import AlertKind, DeliveryAlert
from postloop.domain.alert import describe as describe_alert
from postloop.domain.alert.model import Figure
from postloop.domain.incident import IncidentEnded, IncidentStarted, Transition, describe

_NAMESPACE: Final = UUID("1b7f52c5-7b1c-5f8e-8a38-6d2a5b0e9d41")


class DeliveryAlertV1(BaseModel):
    """An alert began, or ended. Both events of one alert share kind, subject and `started_at`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: SchemaVersion = 1
    event_id: str = Field(description="UUIDv5 of what is told: a replay repeats it.")
    kind: AlertKind
    account_id: str | None = Field(description="null: it is not about one account.")
    sender_domain: str | None = Field(description="null: it is not about one sender domain.")
    mailbox_provider: str | None = Field(description="null: it is not about one mailbox provider.")
    started_at: WireTime = Field(description="When it began, as far as it can be estimated.")
    ended_at: OptionalTime = Field(description="null: it goes on.")
    figures: dict[str, Figure] = Field(description="What it rests on; the names depend on the kind.")
    text: str = Field(description="For people.")

    def to_bytes(self) -> bytes:
        """Return the alert as it is published."""
        return self.model_dump_json().encode()

    @property
    def key(self) -> str:
        """The key of its record: alerts about one subject keep their order."""
        return json.dumps([self.kind, self.account_id, self.sender_domain, self.mailbox_provider])


def outage_alert(transition: Transition) -> DeliveryAlertV1:
    """Return the alert of a hold that begins or ends (kind `provider_outage`)."""
    match transition:
        case IncidentStarted():
            ended_at, said = None, "started"
            figures: dict[str, Figure] = {
                "rate": transition.rate,
                "baseline_rate": transition.baseline_rate,
                "account_count": transition.account_count,
                "domain_count": transition.domain_count,
            }
        case IncidentEnded():
            ended_at, said = moment(transition.ended_ms), f"ended:{transition.cause}"
            figures = {"cause": transition.cause, "verdict": transition.verdict}
    return DeliveryAlertV1(
        event_id=str(uuid5(_NAMESPACE, f"{transition.incident_id}:{said}")),
        kind="provider_outage",
        account_id=None,
        sender_domain=None,
        mailbox_provider=transition.provider,
        started_at=moment(transition.started_ms),
        ended_at=ended_at,
        figures={
            "incident_id": transition.incident_id,
            "outcome_count": transition.outcome_count,
            "hard_count": transition.hard_count,
            **figures,
        },
        text=describe(transition),
    )


def delivery_alert(alert: DeliveryAlert) -> DeliveryAlertV1:
    """Return the event of what begins or ends of the kinds `slow`, `delays` and `silence`."""
    return DeliveryAlertV1(
        event_id=alert.event_id,
        kind=alert.kind,
        account_id=alert.scope.account_id,
        sender_domain=alert.scope.sender_domain,
        mailbox_provider=alert.scope.mailbox_provider,
        started_at=alert.started_at,
        ended_at=alert.ended_at,
        figures={"incident_id": alert.incident_id, **alert.figures},
        text=describe_alert(alert),
    )
