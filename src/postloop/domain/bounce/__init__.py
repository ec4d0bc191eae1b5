"""Reading bounces: a server's refusal in, the reason and what it means for the address out.

    >>> classify(Bounce(diagnostic="550 5.1.1 no such user")).reason
    'user_unknown'

The rules are data in `rules/`; docs/bounces.md explains them. Nothing is read before the first call.
"""

from postloop.domain.bounce.classify import classify
from postloop.domain.bounce.model import Bounce, Verdict
from postloop.domain.bounce.reasons import FACTS, REASONS, Fault, Reason
from postloop.domain.bounce.version import RULES_VERSION

__all__ = ["FACTS", "REASONS", "RULES_VERSION", "Bounce", "Fault", "Reason", "Verdict", "classify"]
