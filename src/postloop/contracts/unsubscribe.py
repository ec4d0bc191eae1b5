"""`email.unsubscribe`: a recipient asked for no more mail."""

from pydantic import Field

from postloop.contracts.envelope import Envelope
from postloop.contracts.fields import Label


class UnsubscribeV1(Envelope):
    """A recipient left the sender's list. An unknown method is still a wish, so it is not refused."""

    method: Label = Field(default="", description="one_click (RFC 8058), link, mailto, api.")
