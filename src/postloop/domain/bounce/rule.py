"""One rule: its name, its reason, and when it may be used at all."""

from dataclasses import dataclass

from postloop.domain.bounce.evidence import Evidence
from postloop.domain.bounce.reasons import Reason


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the rule files.

    Attributes:
        name: Layer, reason and name in the file: `text.mailbox_full.quota`.
        reason: What it says.
        provider: Only for replies of this provider; "" for all.
        codes: Only with a reply code that starts with one of these. Where there is none, the class of the enhanced
            status stands for it, and "0" for neither.
        statuses: Only with one of these enhanced statuses (without class).
        stages: Only when the session had come this far.
        is_proof: Its words say that the recipient was looked up, so that the stage of the session does not matter.
        is_declared: The domain itself says that it takes no mail, so that a temporary code is no sign of DNS trouble.
        may_be_hard: False for words that are too vague to give up an address for.
    """

    name: str
    reason: Reason
    provider: str = ""
    codes: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    is_proof: bool = False
    is_declared: bool = False
    may_be_hard: bool = True

    @property
    def layer(self) -> str:
        """The table or file that it stands in: a provider's name, text, status, transport, vague, reply, default."""
        return self.name.partition(".")[0]

    def fits(self, evidence: Evidence) -> bool:
        """Return whether the conditions of the rule hold."""
        if self.codes and not evidence.code_or_class.startswith(self.codes):
            return False
        if self.statuses and evidence.status not in self.statuses:
            return False
        return not self.stages or evidence.stage in self.stages
