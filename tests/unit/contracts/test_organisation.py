"""Organisational domains, and the provider of a domain below a known one."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.contracts import organisation
from postloop.contracts.organisation import mailbox_provider_of, organisational_domain
from postloop.domain.providers import CORPORATE, OTHER, PROVIDERS, domains_of, mailbox_provider


@pytest.mark.parametrize(
    ("domain", "owned"),
    [
        ("example.com", "example.com"),
        ("mail.example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", None),
        ("com", None),
        ("ada.github.io", "ada.github.io"),
        ("github.io", None),
        ("x.city.kawasaki.jp", "city.kawasaki.jp"),
        ("mail.corp.internal", "corp.internal"),
        ("mail.xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai"),
        ("", None),
        (".", None),
        ("a..b", None),
        ("example.com.", None),
        ("[192.0.2.1]", None),
        ("x" * 300 + ".com", None),
    ],
)
def test_who_owns_a_domain(domain: str, owned: str | None) -> None:
    assert organisational_domain(domain) == owned


@pytest.mark.parametrize(
    ("domain", "provider"),
    [
        pytest.param("nyc.rr.com", "charter", id="region-of-a-provider"),
        pytest.param("t7.ezweb.ne.jp", "au", id="below-a-suffix-of-two-labels"),
        pytest.param("mail.yahoo.co.jp", "yahoojp", id="not-yahoo"),
        pytest.param("vip.qq.com", "qq", id="in-the-table-itself"),
        pytest.param("gmail.com.example.com", CORPORATE, id="begins-like-gmail"),
        pytest.param("mail.example.co.uk", CORPORATE, id="company"),
        pytest.param("co.uk", OTHER, id="bare-suffix"),
        pytest.param("localhost", OTHER, id="no-dot"),
        pytest.param("example.test", CORPORATE, id="special-use"),
    ],
)
def test_who_runs_a_mailbox_below_a_known_domain(domain: str, provider: str) -> None:
    assert mailbox_provider_of(domain) == provider


def test_the_table_comes_before_the_list() -> None:
    for provider in PROVIDERS:
        assert all(mailbox_provider_of(domain) == provider for domain in domains_of(provider))


@given(st.text(max_size=300) | st.from_regex(r"[a-z0-9.-]{0,30}", fullmatch=True))
def test_any_text_has_a_provider_and_the_set_stays_closed(domain: str) -> None:
    found = mailbox_provider_of(domain)
    assert found in PROVIDERS
    if mailbox_provider(domain) != CORPORATE:
        assert found == mailbox_provider(domain)


def test_the_list_is_read_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    organisation._suffixes.cache_clear()
    organisational_domain.cache_clear()
    assert organisational_domain("a.example.com") == "example.com"
