"""`email.complaint`: a recipient pressed "this is spam" and the provider told us."""

from pydantic import Field

from postloop.contracts.envelope import Envelope
from postloop.contracts.fields import Text


class ComplaintV1(Envelope):
    """A report from a feedback loop (RFC 5965). `not-spam` withdraws a complaint."""

    feedback_type: Text = Field(
        default="", description="abuse, fraud, virus, not-spam, other, or a later one."
    )
    reporting_provider: Text = Field(default="", description="Who reported.")
