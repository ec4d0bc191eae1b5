"""Addresses: the fast path never disagrees with the library, and no text breaks anything."""

import string

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postloop.contracts.address import _by_library, canonical_recipient, canonical_text
from postloop.domain.recipient import fast_canonical, is_redacted

ATEXT = string.ascii_letters + string.digits + "!#$%&'*+/=?^_`{|}~-"
local_parts = st.one_of(
    st.text(alphabet=ATEXT + '."\\ @(),:;<>[]', min_size=0, max_size=12),
    st.integers(60, 66).map(lambda n: "a" * n),
    st.integers(180, 254).map(lambda n: "a" * n),
    st.sampled_from(
        ["", ".", "a.", ".a", "a..b", '"a b"', '"a@b"', 'a"b', "a b", "ü", "A", "MiXed.Case", "postmaster"]
    ),
)
LONGEST = "a@" + ".".join(["d" * 62] * 3 + ["d" * 63])
labels = st.one_of(
    st.text(alphabet=string.ascii_letters + string.digits + "-", min_size=0, max_size=8),
    st.integers(61, 65).map(lambda n: "b" * n),
    st.sampled_from(
        [
            "-a",
            "a-",
            "a--b",
            "ab--c",
            "xn--mnchen-3ya",
            "xn--",
            "XN--MNCHEN-3YA",
            "1",
            "123",
            "münchen",
            "a_b",
            "",
        ]
    ),
    st.sampled_from(
        [
            "com",
            "COM",
            "test",
            "localhost",
            "local",
            "invalid",
            "arpa",
            "onion",
            "c0m",
            "c0",
            "x-y",
            "example",
        ]
    ),
)
domains = st.one_of(
    st.lists(labels, min_size=0, max_size=5).map(".".join),
    st.integers(58, 64).map(lambda n: ".".join(["d" * 62] * 3 + ["e" * n])),
    st.sampled_from(
        [
            "[127.0.0.1]",
            "[IPv6:::1]",
            "[ipv6:2001:db8::1]",
            "127.0.0.1",
            "[300.1.1.1]",
            "例え.jp",
            "a。b.com",
            "com.",
        ]
    ),
)
addresses = st.builds(
    lambda left, local, at, domain, right: left + local + at + domain + right,
    st.sampled_from(["", "", "", " ", "\t", "<", "Bob <", "\u3000"]),
    local_parts,
    st.sampled_from(["@", "@", "@", "@", "", "@@", "＠"]),
    domains,
    st.sampled_from(["", "", "", " ", "\n", ">", "\0", "."]),
)


@settings(max_examples=1500)
@given(addresses | st.text(alphabet=ATEXT + "@.", max_size=40))
@example("a@" + ".".join(["d" * 63] * 4))
@example("Üser@example.com")
@example("a@b.c0m")
@example("root@localhost")
def test_where_the_fast_path_decides_the_library_agrees(text: str) -> None:
    fast = fast_canonical(text)
    if fast is not None:
        slow = _by_library(text)
        assert (slow.canonical, slow.valid) == (fast, True)


@settings(max_examples=500)
@given(addresses)
def test_a_public_name_is_judged_as_the_library_judges_it(text: str) -> None:
    """The stand-in for special-use names changes nothing elsewhere."""
    try:
        answer = validate_email(
            text.strip(), check_deliverability=False, allow_quoted_local=True, allow_domain_literal=True
        )
    except EmailNotValidError:
        return
    recipient = canonical_recipient(text)
    if is_redacted(text):  # `*@example.org` is a valid address, and what feedback loops write instead of one
        assert not recipient.valid
        return
    assert recipient.valid
    assert recipient.domain == answer.ascii_domain


@given(addresses)
def test_plain_addresses_with_public_names_do_not_need_the_library(text: str) -> None:
    recipient = canonical_recipient(text)
    if recipient.valid and text.strip().isascii() and not set('"[') & set(text) and "--" not in text:
        assert fast_canonical(text) == recipient.canonical


@settings(max_examples=500)
@given(
    addresses | st.text() | st.text(alphabet=st.characters(codec=None, categories=["Cs", "Cc", "Lo", "Mn"]))
)
def test_any_text_has_a_recipient_and_its_canonical_form_is_stable(text: str) -> None:
    recipient = canonical_recipient(text)
    assert canonical_text(text) == recipient.canonical
    if recipient.valid:
        assert canonical_recipient(recipient.canonical) == recipient
        assert recipient.canonical == recipient.canonical.strip()
    else:
        assert recipient.canonical == text


@pytest.mark.parametrize(
    ("text", "canonical", "domain", "valid"),
    [
        pytest.param(
            " Ada.Byron@Example.COM\r\n", "ada.byron@example.com", "example.com", True, id="trimmed-and-lower"
        ),
        pytest.param("ü@müNchen.de", "ü@xn--mnchen-3ya.de", "xn--mnchen-3ya.de", True, id="international"),
        pytest.param("用户@例え.jp", "用户@xn--r8jz45g.jp", "xn--r8jz45g.jp", True, id="other-scripts"),
        pytest.param("a@xn--mnchen-3ya.de", "a@xn--mnchen-3ya.de", "xn--mnchen-3ya.de", True, id="punycode"),
        pytest.param('"A b"@example.com', '"a b"@example.com', "example.com", True, id="quoted"),
        pytest.param('"Ab"@example.com', "ab@example.com", "example.com", True, id="quoted-without-need"),
        pytest.param("a@[192.0.2.1]", "a@[192.0.2.1]", "[192.0.2.1]", True, id="address-literal"),
        pytest.param("u@example.test", "u@example.test", "example.test", True, id="test-name"),
        pytest.param("Root@LocalHost", "root@localhost", "localhost", True, id="no-dot"),
        pytest.param(
            "u@münchen.local", "u@xn--mnchen-3ya.local", "xn--mnchen-3ya.local", True, id="special-idn"
        ),
        pytest.param("u@192.0.2.1", "u@192.0.2.1", "192.0.2.1", False, id="address-without-brackets"),
        pytest.param("Bob <b@example.com>", "Bob <b@example.com>", "example.com>", False, id="display-name"),
        pytest.param("a..b@Gmail.com", "a..b@Gmail.com", "gmail.com", False, id="two-dots"),
        pytest.param("nobody", "nobody", "", False, id="no-at"),
        pytest.param("", "", "", False, id="empty"),
        pytest.param("@", "@", "", False, id="only-at"),
        pytest.param("a\0b@example.com", "a\0b@example.com", "example.com", False, id="nul"),
        pytest.param("a\ud800@example.com", "a\ud800@example.com", "example.com", False, id="surrogate"),
        pytest.param(LONGEST, LONGEST, LONGEST[2:], True, id="254-characters"),
        pytest.param("a" + LONGEST, "a" + LONGEST, LONGEST[2:], False, id="255-characters"),
        pytest.param(" " * 300 + "a@b.org", "a@b.org", "b.org", True, id="long-for-its-blanks"),
        pytest.param("x" * 10_000, "x" * 10_000, "", False, id="ten-kilobytes"),
    ],
)
def test_canonical_form(text: str, canonical: str, domain: str, valid: bool) -> None:
    assert canonical_recipient(text) == (canonical, domain, valid)


@pytest.mark.parametrize(
    "text", ["redacted@example.org", " Redacted-7@Example.org", "[redacted]", "xxxxxxx@example.org"]
)
def test_an_address_that_was_blacked_out_is_kept_as_given_and_is_not_valid(text: str) -> None:
    found = canonical_recipient(text)
    assert (found.canonical, found.valid) == (text, False)
