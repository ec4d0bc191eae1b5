"""`email.bounce`: the recipient's side refused the message, for good or for now."""

from typing import Annotated

from pydantic import Field

from postloop.contracts.envelope import Envelope
from postloop.contracts.fields import NULL_IS_ABSENT, Attempt, ReplyCode, Text
from postloop.domain.event_types import BounceAction


class BounceV1(Envelope):
    """A delivery failed. `delayed` is a deferral: the sender still tries, and nothing is final."""

    action: Annotated[BounceAction, NULL_IS_ABSENT] = Field(
        default="failed", description="failed: final. delayed: still retried."
    )
    smtp_code: ReplyCode = Field(default=0, description="Reply code of RFC 5321 as a number; 0 means none.")
    enhanced_code: Text = Field(default="", description="Enhanced status of RFC 3463, e.g. 5.1.1.")
    diagnostic: Text = Field(default="", description="The server's words.")
    smtp_command: Text = Field(
        default="", description="CONNECT, EHLO, MAIL, RCPT, DATA, ...: what was answered."
    )
    remote_host: Text = Field(default="", description="The server that refused.")
    source_ip: Text = Field(default="", description="The sending address.")
    attempt: Attempt = Field(default=0, description="Which attempt failed, counted from 1; 0 is: not told.")
