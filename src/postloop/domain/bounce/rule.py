"""One rule: its name, its reason, and when it may be used at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postloop.domain.bounce.evidence import Evidence
from postloop.domain.bounce.reasons import Reason


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the rule files.

    Attributes:
        name: Layer, reason and name in the file: `text.mailbox_full.over_quota`.
        reason: What it says; "" for a rule that only raises doubt.
        provider: Only for replies of this provider; "" for all.
        codes: Only with a reply code that starts with one of these.
        statuses: Only with one of these enhanced statuses (without class).
        stages: Only when the session had come this far.
    """

    name: str
    reason: Reason | None
    provider: str = ""
    codes: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    proof: bool = False
    may_be_hard: bool = True

    def fits(self, evidence: Evidence) -> bool:
        """Return whether the conditions of the rule hold."""
        if self.codes and not (str(evidence.code) if evidence.code else evidence.status_class or "0").startswith(self.codes):
            return False
        if self.statuses and evidence.status not in self.statuses:
            return False
        return not self.stages or evidence.stage in self.stages
