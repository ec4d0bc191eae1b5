"""The bodies of webhooks: what a customer's endpoint is told, one model for each type of event."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from postloop.contracts.fields import OptionalTime, SchemaVersion, WireTime
from postloop.domain.blocklist import ReleaseCause
from postloop.domain.bounce import Fault, Reason
from postloop.domain.event_types import MailClass, OpenKind
from postloop.domain.webhook.bodies import BATCH_TYPE, MAX_BATCH_COUNT
from postloop.domain.webhook.event_types import TEST_TYPE, WebhookType

ShownForm = Literal["clear", "masked", "hmac-sha256"]
Grade = Literal["high", "medium", "low", "bad", "unknown"]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class DataV1(_Told):
    """What every event says. Order of arrival is not promised: `occurred_at` orders."""

    schema_version: SchemaVersion = 1
    event_id: str = Field(description="Of the event: the same for every endpoint that hears of it.")
    account_id: str | None = Field(description="Whom it concerns; null: the platform as a whole.")
    occurred_at: WireTime


class MailV1(DataV1):
    """What every event about a message says."""

    sender_domain: str
    mail_class: MailClass
    recipient: str = Field(description="In the form that the endpoint asked for.")
    recipient_form: ShownForm
    message_id: str
    campaign_id: str
    template_id: str
    tags: tuple[str, ...]


class AdviceV1(_Told):
    """What a reason means, and what to do next."""

    sentence: str
    next_step: str


class RefusedV1(MailV1):
    """Why a server refused, as Postloop reads it."""

    reason: Reason
    fault: Fault = Field(description="Whose side the cause is on.")
    smtp_code: int = Field(description="0: none.")
    enhanced_code: str
    diagnostic: str = Field(
        description="The server's words, cut; without addresses where those are not clear."
    )
    smtp_command: str
    remote_host: str
    attempt: int = Field(description="Of the sender, counted from 1; 0: not told.")
    advice: AdviceV1


class BouncedV1(RefusedV1):
    """A message is finally undelivered."""

    hard: bool = Field(description="The address is gone for good.")


class DeliveredV1(MailV1):
    """The recipient's server took the message."""

    smtp_response: str
    remote_host: str


class ComplainedV1(MailV1):
    """The recipient reported the message as spam."""

    feedback_type: str
    reporting_provider: str


class OpenedV1(MailV1):
    """The message was opened by a person, or fetched by a machine."""

    open_kind: OpenKind
    user_agent: str


class UnsubscribedV1(MailV1):
    """The recipient wants no more mail."""

    method: str


class BlocklistInsertedV1(DataV1):
    """An address was blocked by the account's own mail, or stays blocked for longer."""

    scope: str = Field(description="`global`, or the sender domain for which the address is blocked.")
    sender_domain: str = Field(default="", description="Of a scope that is one.")
    recipient: str
    recipient_form: ShownForm
    entry_id: str
    change: Literal["inserted", "extended"]
    mailbox_provider: str
    reason: str = Field(description="A bounce reason, or complaint, unsubscribe, manual.")
    blocked_by_others: bool = Field(description="Whether mail of other accounts caused it too.")
    starts_at: WireTime
    inserted_at: WireTime
    expires_at: OptionalTime = Field(description="null: no end of itself.")


class BlocklistExpiredV1(BlocklistInsertedV1):
    """A block ended; the other fields are those of its last insert event."""

    cause: ReleaseCause


class VerdictV1(_Told):
    """A score from 0 to 100, null where too little mail was sent."""

    score: float | None
    grade: Grade


class ReputationChangedV1(DataV1):
    """The grade of a sender domain changed."""

    sender_domain: str
    mailbox_provider: str | None = Field(description="null: the domain as a whole.")
    before: VerdictV1 | None
    after: VerdictV1
    recommendation: Literal["none", "warn", "throttle", "pause", "resume"]
    factors: tuple[dict[str, Any], ...] = Field(description="As in `reputation.change`.")


class DeliveryAlertV1(DataV1):
    """Mail to a provider, or of a domain, is delayed, refused or silent."""

    kind: Literal["provider_outage", "slow", "silence", "delays"]
    sender_domain: str | None
    mailbox_provider: str | None
    started_at: WireTime
    ended_at: OptionalTime = Field(description="null: it goes on.")
    figures: dict[str, Any]
    text: str


class EndpointDisabledV1(DataV1):
    """An endpoint gets nothing more until somebody resumes it."""

    endpoint_id: str
    cause: Literal["failing", "gone", "operator"]


class TestedV1(DataV1):
    """Somebody wants to see whether the endpoint listens."""

    is_test: Literal[True]


_DATA: Final[dict[WebhookType, type[DataV1]]] = {
    "email.delivered": DeliveredV1,
    "email.delayed": RefusedV1,
    "email.bounced": BouncedV1,
    "email.complained": ComplainedV1,
    "email.opened": OpenedV1,
    "email.unsubscribed": UnsubscribedV1,
    "blocklist.inserted": BlocklistInsertedV1,
    "blocklist.expired": BlocklistExpiredV1,
    "reputation.changed": ReputationChangedV1,
    "delivery.alert": DeliveryAlertV1,
    "webhook.endpoint_disabled": EndpointDisabledV1,
}
_SPECIAL: Final = {
    "email.delayed": "A message and recipient was deferred for the first time; it is still tried."
}


def _body(name: str, data: type[DataV1]) -> type[BaseModel]:
    """Return the model of a whole body."""
    kind: Any = Literal[name]
    fields: dict[str, Any] = {"type": kind, "timestamp": WireTime, "data": data}
    made: Any = type(
        f"{data.__name__.removesuffix('V1')}BodyV1",
        (_Told,),
        {"__doc__": _SPECIAL.get(name, data.__doc__), "__annotations__": fields, "__module__": __name__},
    )
    model: type[BaseModel] = made
    return model


BODIES: Final[dict[str, type[BaseModel]]] = {
    **{name: _body(name, data) for name, data in _DATA.items()},
    TEST_TYPE: _body(TEST_TYPE, TestedV1),
}
"""Type of an event -> the model of its body."""


class MemberV1(_Told):
    """One event of a batch, with the id that it would have alone."""

    webhook_id: str = Field(description="Repeated whenever this event is told to this endpoint again.")
    type: str
    timestamp: WireTime
    data: dict[str, Any]


class BatchDataV1(_Told):
    """The events of one request."""

    events: Annotated[tuple[MemberV1, ...], Field(min_length=1, max_length=MAX_BATCH_COUNT)]


class BatchBodyV1(_Told):
    """Several events in one request, for endpoints that asked for it."""

    type: Literal["batch"]
    timestamp: WireTime
    data: BatchDataV1


WEBHOOK_MODELS: Final[dict[str, type[BaseModel]]] = {
    **{f"webhook.{name.removeprefix('webhook.')}": model for name, model in BODIES.items()},
    f"webhook.{BATCH_TYPE}": BatchBodyV1,
}
"""Name of the published schema -> model."""
