"""From a bounce to a verdict: which rule decides, and what it means for the address."""

from typing import Final

from postloop.domain.bounce.evidence import Evidence, evidence_of
from postloop.domain.bounce.model import Bounce, Verdict
from postloop.domain.bounce.reasons import FACTS, Reason
from postloop.domain.bounce.rule import Rule
from postloop.domain.bounce.rule_files import LATE, STRONG
from postloop.domain.bounce.rulebook import Rulebook, rulebook
from postloop.domain.bounce.text import examined, first_reply, fold

_NOTHING: Final = Rule("default.unknown", "unknown")


def classify(bounce: Bounce) -> Verdict:
    """Return why a message was refused; any input has an answer.

    The order: rules of the provider that answered, texts that say what happened, the enhanced status, vague
    texts, the reply code. Not known is an answer too, and it is never hard.
    """
    book = rulebook()
    diagnostic = first_reply(fold(examined(bounce.diagnostic or "")))
    evidence = evidence_of(bounce, diagnostic)
    provider = book.provider_of(bounce.remote_host or "", bounce.recipient_domain or "")
    signs = book.vocabulary.encode(diagnostic)
    candidates = book.table.candidates(signs) & (book.general | book.of_provider.get(provider, 0))
    rule = _deciding_rule(book, evidence, provider=provider, signs=signs, candidates=candidates)
    return _verdict(bounce, book, evidence, rule, provider=provider, signs=signs, candidates=candidates)


def _deciding_rule(book: Rulebook, evidence: Evidence, *, provider: str, signs: str, candidates: int) -> Rule:
    for rule in book.table.found(candidates & book.early, signs):
        if rule.fits(evidence):
            strong = book.statuses.get((STRONG, evidence.status))
            return strong if strong and FACTS[rule.reason].fault == "recipient" else rule
    status = evidence.status
    if status:
        if (STRONG, status) in book.statuses: return book.statuses[STRONG, status]
        by_status = book.statuses.get((provider, status)) or book.statuses.get(("", status))
        if by_status is not None:
            return by_status
    for rule in book.table.found(candidates & book.late, signs):
        if rule.fits(evidence):
            return rule
    late = book.statuses.get((LATE, status)) or book.statuses.get((LATE, f"{status[:2]}*"))
    if late is not None:
        return late
    return book.replies.get(evidence.code, _NOTHING)


def _verdict(bounce, book: Rulebook, evidence: Evidence, rule: Rule, *, provider: str, signs: str, candidates: int) -> Verdict:
    reason = rule.reason or "unknown"
    name = rule.name
    if FACTS[reason].fault == "recipient" and evidence.stage == "before_rcpt":
        # Nobody had named a recipient yet: "unknown user" answers the sender's own address here.
        reason, name = "sender_blocked", f"before_rcpt.{name}"
    if reason == "user_unknown" and not _is_proven(bounce, evidence, provider, rule):
        reason, name = "recipient_filtered", f"unproven.{name}"
    if reason == "host_unknown" and evidence.is_temporary and not name.endswith("no_mail_here"):
        # A name server that fails is no domain that is gone: "host not found, try again" (SERVFAIL).
        reason, name = "network", f"temporary.{name}"
    hard = FACTS[reason].can_be_hard and not evidence.is_temporary
    if not rule.may_be_hard or hard and name.startswith("reply.") and name != "reply.556":
        hard = False
    if hard and name.startswith("status.") and any(r.reason and FACTS[r.reason].fault == "sender" for r in book.table.found(candidates & book.late, signs) if r.fits(evidence)):
        hard = False
    if hard and candidates & book.doubt:
        hard = next(book.table.found(candidates & book.doubt, signs), None) is None
    return Verdict(reason, hard, FACTS[reason].fault, _confidence(rule), name)


def _is_proven(bounce: Bounce, evidence: Evidence, provider: str, rule) -> bool:
    """Return whether "unknown user" is more than a word."""
    if evidence.stage == "rcpt" or not bounce.remote_host:
        return True
    return evidence.status.startswith("1.") or provider in rulebook().verifying or rule.proof or not evidence.stage and evidence.status == "4.1"


def _confidence(rule: Rule) -> float:
    return 0.9
