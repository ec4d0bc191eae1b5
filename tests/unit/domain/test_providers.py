"""Mailbox providers: a bounded set of names."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.providers import (
    CORPORATE,
    OTHER,
    PROVIDERS,
    REPORTS_COMPLAINTS,
    domains_of,
    mailbox_provider,
)


@pytest.mark.parametrize(
    ("domain", "provider"),
    [
        ("gmail.com", "gmail"),
        ("googlemail.com", "gmail"),
        ("outlook.com", "microsoft"),
        ("hotmail.co.uk", "microsoft"),
        ("yahoo.com", "yahoo"),
        ("aol.com", "yahoo"),
        ("yahoo.co.jp", "yahoojp"),
        ("icloud.com", "apple"),
        ("privaterelay.appleid.com", "apple"),
        ("qq.com", "qq"),
        ("163.com", "netease"),
        ("gmx.de", "gmx"),
        ("web.de", "webde"),
        ("mail.ru", "mailru"),
        ("proton.me", "proton"),
        ("example.com", CORPORATE),
        ("gmail.com.example.com", CORPORATE),
        ("xn--mnchen-3ya.de", CORPORATE),
        ("a.b.c.xn--p1ai", CORPORATE),
        ("", OTHER),
        ("localhost", OTHER),
        ("[192.0.2.1]", OTHER),
        ("192.0.2.1", OTHER),
        ("no domain", OTHER),
        ("a..com", OTHER),
    ],
)
def test_who_runs_the_mailbox(domain: str, provider: str) -> None:
    assert mailbox_provider(domain) == provider


@given(st.text() | st.from_regex(r"[a-z0-9.-]{0,20}", fullmatch=True))
def test_the_set_of_names_is_closed(domain: str) -> None:
    assert mailbox_provider(domain) in PROVIDERS


def test_every_domain_of_the_table_belongs_to_one_provider_and_is_canonical() -> None:
    domains = [domain for provider in PROVIDERS for domain in domains_of(provider)]
    assert len(domains) == len(set(domains))
    assert all(domain == domain.lower() and domain.isascii() and "." in domain for domain in domains)
    assert all(
        mailbox_provider(domain) == provider for provider in PROVIDERS for domain in domains_of(provider)
    )


def test_only_named_providers_report_complaints() -> None:
    assert set(PROVIDERS) >= REPORTS_COMPLAINTS
    assert not REPORTS_COMPLAINTS & {"gmail", "apple", CORPORATE, OTHER}


def test_the_page_on_reputation_names_who_reports_complaints() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reputation.md").read_text(encoding="utf-8")
    said = re.search(r"These mailbox providers report complaints: (.*?)\. ", page, re.DOTALL)
    assert said is not None
    assert set(re.findall(r"`(\w+)`", said[1])) == REPORTS_COMPLAINTS
