"""What mailbox providers answer: replies in their manner, each with the reason it was written for.

The texts are made up for the simulator; `{rcpt}`, `{host}`, `{ip}`, `{sender}` and `{ref}` are filled in.
A row is reason, weight, reply code (0: no server answered), enhanced status, command, text; `-` stands for
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

# Written down here a second time on purpose: `verify` compares the classifier with what was meant.
_HARD: Final = frozenset({"user_unknown", "host_unknown"})
FAULTS: Final = {
    "user_unknown": "recipient",
    "host_unknown": "recipient",
    "mailbox_full": "recipient",
    "mailbox_disabled": "recipient",
    "spam_content": "sender",
    "content_rejected": "sender",
    "sender_blocked": "sender",
    "auth_failure": "sender",
    "policy": "sender",
    "rate_limited": "sender",
    "too_large": "sender",
    "greylisted": "infrastructure",
    "network": "infrastructure",
    "system_error": "infrastructure",
    "expired": "infrastructure",
    "relay_denied": "infrastructure",
    "tls": "infrastructure",
    "unknown": "unknown",
}
"""Whose side each reason is on."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One refusal."""

    reason: str
    weight: float
    code: int
    enhanced: str
    command: str
    text: str

    @property
    def is_hard(self) -> bool:
        """The address is given up at once: what its label says, unless the answer is one for now."""
        return self.reason in _HARD and self.code // 100 != 4 and not self.enhanced.startswith("4")

    @property
    def fault(self) -> str:
        """Whose side the cause is on."""
        return FAULTS[self.reason]


def pick(pool: tuple[Reply, ...], draw: float) -> Reply:
    """Return a reply as often as its weight says; `draw` is in [0, 1)."""
    left = draw * _total_weight(pool)
    for reply in pool:
        left -= reply.weight
        if left < 0:
            return reply
    return pool[-1]


@lru_cache(maxsize=64)
def _total_weight(pool: tuple[Reply, ...]) -> float:
    return sum(reply.weight for reply in pool)


def _replies(rows: str) -> tuple[Reply, ...]:
    made = []
    for row in rows.strip().splitlines():
        reason, weight, code, enhanced, command, text = row.split(None, 5)
        made.append(Reply(reason, float(weight), int(code), enhanced.strip("-"), command.strip("-"), text))
    return tuple(made)


GMAIL: Final = _replies("""
    user_unknown 50 550 5.1.1 RCPT 550-5.1.1 No mailbox has this name. 550 5.1.1 NoSuchUser {ref} - gsmtp
    mailbox_disabled 8 550 5.2.1 RCPT 550 5.2.1 This account is inactive. DisabledUser {ref} - gsmtp
    mailbox_full 14 452 4.2.2 RCPT 452-4.2.2 The inbox has no room left. 452 4.2.2 OverQuotaTemp {ref} - gsmtp
    rate_limited 6 550 5.2.1 RCPT 550 5.2.1 This mailbox gets mail too fast. ReceivingRatePerm {ref} - gsmtp
    spam_content 9 550 5.7.1 DATA 550-5.7.1 [{ip}] This looks like unsolicited mail. 550 5.7.1 {ref} - gsmtp
    auth_failure 6 550 5.7.26 DATA 550-5.7.26 Mail from {sender} passes neither SPF nor DKIM. {ref} - gsmtp
    sender_blocked 5 421 4.7.28 DATA 421-4.7.28 Unusual amounts of mail come from [{ip}]. {ref} - gsmtp
""")
MICROSOFT: Final = _replies("""
    user_unknown 48 550 5.5.0 RCPT 550 5.5.0 Requested action not taken: mailbox unavailable. [{host} {ref}]
    mailbox_full 12 552 5.2.2 RCPT 552 5.2.2 This mailbox is over its limit and accepts nothing now [{ref}]
    sender_blocked 14 550 5.7.1 MAIL 550 5.7.1 Your network [{ip}] is on our block list (S3150). [{ref}]
    auth_failure 6 550 5.7.515 DATA 550 5.7.515 Access denied, {sender} misses the authentication level. [{ref}]
    rate_limited 8 451 4.7.650 CONNECT 451 4.7.650 [{ip}] is rate limited for now, slow down. (S775) [{ref}]
    spam_content 8 554 5.2.0 DATA 554 5.2.0 Message stopped by the recipient's content filter [{host} {ref}]
""")
YAHOO: Final = _replies("""
    user_unknown 46 554 5.0.0 DATA 554 delivery error: dd This user doesn't have a yahoo account ({rcpt}) [-5]
    mailbox_disabled 16 554 - DATA 554 30 Sorry, mail to {rcpt} is not taken, the mailbox is disabled [-30] - {host}
    mailbox_full 10 552 5.2.2 DATA 552 1 The mailbox of {rcpt} is over quota [-14] - {host}
    rate_limited 12 421 4.7.0 CONNECT 421 4.7.0 [TSS04] Too many messages from {ip}, unexpected volume: put off
    policy 8 554 5.7.9 DATA 554 5.7.9 Message refused for policy reasons, {sender} asks for it by DMARC
""")
APPLE: Final = _replies("""
    user_unknown 46 550 5.1.1 RCPT 550 5.1.1 <{rcpt}>: user does not exist
    mailbox_disabled 14 550 5.7.1 RCPT 550 5.7.1 <{rcpt}>: inactive email address
    mailbox_full 14 552 5.2.2 RCPT 552 5.2.2 <{rcpt}>: user is over quota
    policy 12 554 5.7.1 DATA 554 5.7.1 [CS01] Message refused by local policy. {ref}
    sender_blocked 6 450 4.7.1 MAIL 450 4.7.1 [{ip}] has a poor reputation, come back later [HM08]
""")
GENERIC: Final = _replies("""
    user_unknown 40 550 5.1.1 RCPT 550 5.1.1 <{rcpt}>: Recipient address rejected: User unknown in local table
    user_unknown 6 550 5.4.1 RCPT 550 5.4.1 Recipient address rejected: Access denied. [{host} {ref}]
    host_unknown 12 0 5.4.4 - Host or domain name not found. Name service error for {host}: Host not found
    mailbox_full 12 552 5.2.2 RCPT 552 5.2.2 <{rcpt}>: The mailbox has used up its quota
    greylisted 3 450 4.2.0 RCPT 450 4.2.0 <{rcpt}>: Recipient address rejected: Greylisted, try later
    sender_blocked 9 554 5.7.1 RCPT 554 5.7.1 Service unavailable; Client host [{ip}] is on a block list
    content_rejected 3 550 5.6.0 DATA 550 5.6.0 Message is not as RFC 5322 asks: header Date is missing
    too_large 2 552 5.3.4 MAIL 552 5.3.4 Message size exceeds fixed limit
    relay_denied 2 554 5.7.1 RCPT 554 5.7.1 <{rcpt}>: Relay access denied
    tls 1 0 4.7.4 STARTTLS TLS is required, but the server offered no certificate that fits {host}
    network 5 0 4.4.1 CONNECT connect to {host}[192.0.2.25]:25: Connection refused
    expired 5 0 4.4.7 - delivery time expired; last answer of {host}: 451 4.3.0 Temporary server error
    system_error 3 451 4.3.0 DATA 451 4.3.0 Temporary lookup failure, queue {ref}
    unknown 2 0 - - Delivery failed for reasons that the remote system did not tell
""")
MALFORMED: Final = _replies("""
    user_unknown 3 553 5.1.3 RCPT 553 5.1.3 <{rcpt}>: this is no address that mail can go to
    user_unknown 1 501 5.1.3 RCPT 501 5.1.3 Bad recipient address syntax
""")
GREYLISTED: Final = _replies("""
    greylisted 3 451 4.7.1 RCPT 451 4.7.1 <{rcpt}>: Greylisting in action, please come back later
    greylisted 2 450 4.2.0 RCPT 450 4.2.0 <{rcpt}>: Recipient address rejected: Greylisted for 300 s
    greylisted 1 451 - RCPT 451 Greylisting: come back in five minutes ({ref})
""")
THROTTLED: Final = _replies("""
    rate_limited 3 421 4.7.0 CONNECT 421 4.7.0 Too many connections from [{ip}], slow down ({ref})
    mailbox_full 1 452 4.2.2 RCPT 452 4.2.2 <{rcpt}>: mailbox is full, we try again later
    system_error 2 451 4.3.2 DATA 451 4.3.2 {host} is busy with maintenance
    network 2 0 4.4.2 DATA lost connection with {host} while sending end of data
""")
OUT_OF_BAND: Final = _replies("""
    user_unknown 3 550 5.1.1 - The mail could not be put into the mailbox of {rcpt}: 550 5.1.1 no such mailbox
    mailbox_full 2 552 5.2.2 - Your message to {rcpt} could not be stored: quota used up
    mailbox_full 1 452 4.2.2 - Final report of {host}: 452 4.2.2 mailbox over quota for 72 hours
""")
SEND_ERRORS: Final = (
    ("template_not_approved", "The template has not been approved yet"),
    ("sender_domain_unverified", "The DNS records of the sender domain do not match any more"),
    ("quota_exceeded", "The daily quota of the account is used up"),
    ("template_data_invalid", "The template data lack a variable that the template uses"),
)
