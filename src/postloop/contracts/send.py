"""`email.send`: the platform accepted a message for sending, or refused to."""

from typing import Annotated

from pydantic import Field

from postloop.contracts.envelope import Envelope
from postloop.contracts.fields import NULL_IS_ABSENT, Text
from postloop.domain.event_types import SendStatus


class SendV1(Envelope):
    """A message was accepted for sending, or rejected before it left the platform.

    A send that was stopped because of the blocklist is `rejected` with `error_code` `blocklisted`.
    """

    status: Annotated[SendStatus, NULL_IS_ABSENT] = Field(
        default="accepted", description="What the platform decided."
    )
    error_code: Text = Field(default="", description="The platform's code for a rejection.")
    error_message: Text = Field(default="", description="The platform's text for a rejection.")
    source_ip: Text = Field(default="", description="The sending address.")
