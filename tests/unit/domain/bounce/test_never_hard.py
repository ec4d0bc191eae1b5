"""Sentences that share their words with "user unknown" and are about somebody or something else."""

import pytest

from postloop.domain.bounce import Bounce, classify

# Made up to find a false hard: the sender's address, domain, server or login, the message, the system, a moment.
SENTENCES = (
    "550 Sender domain shop.example does not exist",
    "550 5.1.8 Domain of sender address news@shop.example does not resolve",
    "553 5.1.8 unresolvable sender domain",
    "550 no such domain: shop.example in MAIL FROM",
    "550 The domain you are sending from could not be found in DNS",
    "550 Your envelope sender's host is unknown",
    "501 Invalid return-path: mailbox does not exist",
    "550 Return address unknown",
    "550 Callback to news@shop.example failed: user unknown",
    "550 verification of your address failed: no such user at your server",
    "550 We could not verify that news@shop.example exists",
    "550 Reverse DNS for 198.51.100.4 does not exist",
    "550 Unknown host 198.51.100.4 may not connect",
    "554 5.7.1 unknown[198.51.100.4]: no PTR record found",
    "550 HELO name mx1.shop.example not found in DNS",
    "550 5.7.1 invalid HELO: host does not exist",
    "550 From header names a domain that does not exist",
    "550 Header From: address is not a valid mailbox",
    "550 5.7.1 Reply-To domain does not exist",
    "535 5.7.8 unknown user name or bad password",
    "535 user not found",
    "550 Authentication required: unknown account",
    "550 5.7.1 Your account does not exist on this relay",
    "550 the client certificate's user is unknown",
    "550 SPF: domain shop.example has no record and does not exist",
    "550 DKIM selector s1 not found",
    "550 no valid DMARC record found for shop.example",
    "554 URL in message points to a domain that does not exist",
    "550 attachment not found in message",
    "550 5.6.0 no such character set",
    "451 4.3.0 user lookup failed: LDAP server not found",
    "451 table lookup failure: no such table",
    "550 5.3.0 local mailer not found",
    "550 5.3.5 mail route does not exist",
    "554 5.3.0 transport unknown",
    "550 unknown command",
    "500 command not found",
    "501 no such option",
    "550 list news does not exist or you may not post to it",
    "550 recipient only accepts mail from known users; you are unknown",
    "550 unknown sender; recipient wants known contacts only",
    "450 4.1.1 user unknown, try again later",
    "450 4.1.2 domain not found",
    "421 user unknown, closing connection",
    "550 too many unknown users in this session",
    "550 5.7.1 rejected: too many invalid recipients from your network",
    "554 5.7.1 harvest attack: too many nonexistent recipients",
    "550 policy: mail to unknown users from your IP exceeded",
    "550 5.1.1 blocked, see our blocklist for unknown senders",
    "552 message for unknown reasons not accepted",
    "554 unknown error",
    "550 unknown reason",
    "550 5.0.0 could not deliver: cause unknown",
    "550 temporary problem: user database not available",
    "550 mailbox is temporarily not existing on this node, migration in progress",
    "550 account not found on this server at the moment, being moved",
    "550 5.2.0 user is over his quota, mailbox does not accept mail",
    "550 the recipient's server does not know your server",
    "550 we do not know you",
    "550 IP not found in allow list",
    "550 sender not found in address book of recipient",
    "550 your server is not listed as MX of shop.example",
    "550 MX of shop.example does not exist; sender refused",
    "550 5.4.4 cannot route your bounce address",
    "550 message-id does not exist",
    "550 no such message",
    "550 recipient was not found on the safe senders list of this group",
)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_is_not_about_the_recipient_is_never_hard(sentence: str) -> None:
    assert not classify(Bounce(diagnostic=sentence)).hard


@pytest.mark.parametrize("code", [534, 535, 538])
def test_who_is_unknown_at_a_login_is_the_sender(code: int) -> None:
    found = classify(Bounce(diagnostic=f"{code} user unknown", smtp_code=code))
    assert (found.fault, found.hard) == ("sender", False)
