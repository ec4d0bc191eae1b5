"""`email.delivery`: the recipient's server took the message."""

from pydantic import Field

from postloop.contracts.envelope import Envelope
from postloop.contracts.fields import Text


class DeliveryV1(Envelope):
    """The recipient's mail server accepted the message."""

    smtp_response: Text = Field(default="", description="The server's last reply.")
    remote_host: Text = Field(default="", description="The server that accepted.")
    source_ip: Text = Field(default="", description="The sending address.")
