"""`email.open`: the tracking image of a message was fetched."""

from pydantic import Field

from postloop.contracts.envelope import Envelope
from postloop.contracts.fields import Text


class OpenV1(Envelope):
    """The image of a message was fetched by a person or a machine."""

    user_agent: Text = Field(default="", description="As the client announced itself.")
    client_ip: Text = Field(default="", description="Where it was fetched from; read, never stored.")
