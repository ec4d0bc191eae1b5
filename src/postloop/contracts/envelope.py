"""The fields that every event has."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from postloop.contracts.fields import (
    NULL_IS_ABSENT,
    EventId,
    Identifier,
    Label,
    OptionalTime,
    RecipientText,
    SchemaVersion,
    Tags,
    WireTime,
)
from postloop.domain.event_types import IpPoolKind, MailClass


class Envelope(BaseModel):
    """What happened to one message for one recipient, at one moment."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    event_id: EventId = Field(description="Unique within one topic; a repeat is dropped.")
    occurred_at: WireTime = Field(description="When it happened: RFC 3339 with zone.")
    account_id: Identifier = Field(description="The customer of the mail platform.")
    message_id: Identifier = Field(description="The message; with the recipient it names one copy of it.")
    sender_domain: Identifier = Field(
        description="The domain whose reputation is at stake; compared exactly."
    )
    recipient: RecipientText = Field(description="The address; a malformed one is kept as it is and marked.")
    schema_version: SchemaVersion = Field(default=1, description="The version of this contract.")
    mail_class: Annotated[MailClass, NULL_IS_ABSENT] = Field(
        default="unknown", description="What kind of mail: expectations about opens depend on it."
    )
    ip_pool: Label = Field(default="", description="The name of the set of sending addresses.")
    ip_pool_kind: Annotated[IpPoolKind, NULL_IS_ABSENT] = Field(
        default="unknown", description="Whether other senders use the pool too."
    )
    sent_at: OptionalTime = Field(
        default=None, description="When the message was sent; without it the event has no delivery time."
    )
    campaign_id: Label = Field(default="", description="The campaign the message belongs to.")
    template_id: Label = Field(default="", description="The template the message was made from.")
    tags: Tags = Field(default=(), description="At most 10 words of at most 64 characters.")

    @field_validator("*", mode="after")
    @classmethod
    def _null_is_absent(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.field_name is not None:
            return cls.model_fields[info.field_name].get_default()
        return value
