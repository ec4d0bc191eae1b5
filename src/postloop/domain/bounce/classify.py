"""From a bounce to a verdict: which rule decides, and what it means for the address."""

from typing import Final

from postloop.domain.bounce.confidence import confidence_of
from postloop.domain.bounce.model import Bounce, Verdict
from postloop.domain.bounce.reasons import FACTS, Reason
from postloop.domain.bounce.reply import Reply, read_reply
from postloop.domain.bounce.rule import Rule
from postloop.domain.bounce.rulebook import rulebook

_NOTHING: Final = Rule("default.unknown", "unknown")


def classify(bounce: Bounce) -> Verdict:
    """Return why a message was refused; any input has an answer.

    The order: rules of the provider that answered, texts that say what happened, the enhanced status, vague
    texts, the reply code. Not known is an answer too, and it is never hard.
    """
    reply = read_reply(bounce, rulebook())
    rule = _deciding_rule(reply)
    reason, name = _second_thought(rule, reply)
    facts = FACTS[reason]
    hard = facts.can_be_hard and rule.may_be_hard and not _is_doubtful(rule, reply)
    return Verdict(reason, hard, facts.fault, confidence_of(rule, reply), name)


def _deciding_rule(reply: Reply) -> Rule:
    book, status = reply.book, reply.evidence.status
    strong = book.strong_status(status)
    rule = next(reply.matching(book.early), None)
    if rule is not None:
        return strong if strong is not None and FACTS[rule.reason].fault == "recipient" else rule
    return (
        strong
        or book.status(status, reply.provider)
        or next(reply.matching(book.late), None)
        or book.weak_status(status)
        or book.reply(reply.evidence.code_or_class)
        or _NOTHING
    )


def _second_thought(rule: Rule, reply: Reply) -> tuple[Reason, str]:
    """Return the reason and the rule's name after a look at what the session makes of the words."""
    reason, evidence = rule.reason, reply.evidence
    if FACTS[reason].fault == "recipient" and evidence.stage == "before_rcpt":
        # Nobody had named a recipient yet: "unknown user" is the sender's own address, and room is the system's.
        return ("system_error" if reason == "mailbox_full" else "sender_blocked"), f"before_rcpt.{rule.name}"
    if reason == "user_unknown" and not _is_proven(rule, reply):
        return "recipient_filtered", f"unproven.{rule.name}"
    if reason == "host_unknown" and not rule.is_declared and (evidence.is_temporary or _may_pass(reply)):
        # A name server that fails is no domain that is gone: "host not found, try again" (SERVFAIL).
        return "network", f"temporary.{rule.name}"
    return reason, rule.name


def _is_proven(rule: Rule, reply: Reply) -> bool:
    """Return whether "unknown user" is about the user.

    Servers answer "user unknown" to DATA when a filter of the recipient refuses a sender (the Japanese mobile
    networks are known for it). It is proof when RCPT was refused, when the status is about addressing, when the
    provider is known to look recipients up, and when the words themselves say so. A text alone, without a
    server's name, is believed: then nothing is known of a session, so nothing contradicts it.
    """
    evidence = reply.evidence
    return (
        evidence.stage == "rcpt"
        or not evidence.has_host
        or evidence.status.startswith("1.")
        or rule.is_proof
        or reply.provider in reply.book.providers.verifying
    )


def _may_pass(reply: Reply) -> bool:
    """Return whether the words say that it may pass; a log without any code says so in words alone."""
    return any(rule.name.endswith(".temporary") for rule in reply.matching(reply.book.doubt))


def _is_doubtful(rule: Rule, reply: Reply) -> bool:
    """Return whether anything speaks against giving up the address at once."""
    if reply.evidence.is_temporary or next(reply.matching(reply.book.doubt), None) is not None:
        return True
    # A status or vague words about the recipient beside vague words about the sender ("550 5.1.1 blocked", "mailbox
    # unavailable or access denied") prove neither.
    return rule.layer in ("status", "vague") and any(
        FACTS[other.reason].fault == "sender" for other in reply.matching(reply.book.late)
    )
