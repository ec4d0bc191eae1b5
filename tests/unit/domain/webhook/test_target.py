"""URLs of endpoints: one reading or none."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.webhook.target import parse_target


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        pytest.param("https://Hooks.Example.COM", "https://hooks.example.com/", id="case-and-path"),
        pytest.param("HTTPS://hooks.example:443/a?b=c", "https://hooks.example/a?b=c", id="usual-port"),
        pytest.param("https://hooks.example:8443/a", "https://hooks.example:8443/a", id="other-port"),
        pytest.param("https://hooks.example.?t=1", "https://hooks.example/?t=1", id="dot-at-the-end"),
        pytest.param("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC", id="international"),
        pytest.param("https://ｅxample.com/", "https://example.com/", id="fullwidth-letter"),
        pytest.param("https://8.8.8.8/a%20b", "https://8.8.8.8/a%20b", id="ipv4"),
        pytest.param("https://[2606:4700:0:0::1]/", "https://[2606:4700::1]/", id="ipv6"),
        pytest.param("http://my_service:8080/", "http://my_service:8080/", id="name-in-compose"),
        pytest.param('https://h.example/"<>^`{|}', "https://h.example/%22%3C%3E%5E%60%7B%7C%7D", id="quoted"),
    ],
)
def test_a_url_has_one_spelling(url: str, canonical: str) -> None:
    target = parse_target(url)
    assert target.url == canonical
    assert parse_target(canonical) == target


@pytest.mark.parametrize(
    ("url", "code"),
    [
        pytest.param("https://h.example/" + "a" * 2_048, "url_too_long", id="too-long"),
        pytest.param("https://h.exam ple/", "url_chars", id="blank"),
        pytest.param("https://h.example/\r\nHost: x", "url_chars", id="crlf"),
        pytest.param("https://h.ex\tample/", "url_chars", id="tab-that-browsers-drop"),
        pytest.param("\x00https://h.example/", "url_chars", id="nul"),
        pytest.param("https://h.example\\@10.0.0.1/", "url_chars", id="backslash"),
        pytest.param("https://h.example/#a", "url_fragment", id="fragment"),
        pytest.param("https://h.example/#", "url_fragment", id="empty-fragment"),
        pytest.param("https://h.example#@10.0.0.1/", "url_fragment", id="fragment-as-userinfo"),
        pytest.param("ftp://h.example/", "url_form", id="scheme"),
        pytest.param("file:///etc/passwd", "url_form", id="file"),
        pytest.param("httpſ://h.example/", "url_form", id="long-s"),
        pytest.param("//h.example/", "url_form", id="no-scheme"),
        pytest.param("https:h.example", "url_form", id="no-slashes"),
        pytest.param("https:///h.example", "url_form", id="empty-host"),
        pytest.param("", "url_form", id="empty"),
        pytest.param("https://user@h.example/", "url_userinfo", id="user"),
        pytest.param("https://h.example:pw@10.0.0.1/", "url_userinfo", id="host-as-user"),
        pytest.param("https://@h.example/", "url_userinfo", id="empty-user"),
        pytest.param("https://h.example:/", "url_form", id="empty-port"),
        pytest.param("https://h.example:0/", "url_port", id="port-0"),
        pytest.param("https://h.example:65536/", "url_port", id="port-65536"),
        pytest.param("https://h.example:+443/", "url_form", id="port-sign"),
        pytest.param("https://h.example:４４３/", "url_form", id="port-fullwidth"),
        pytest.param("https://h.example:443:443/", "url_form", id="two-ports"),
        pytest.param("https://[fe80::1%25eth0]/", "host_zone", id="zone"),
        pytest.param("https://[::1%lo]/", "host_zone", id="zone-unquoted"),
        pytest.param("https://[example.com]/", "host_form", id="name-in-brackets"),
        pytest.param("https://[127.0.0.1]/", "host_form", id="ipv4-in-brackets"),
        pytest.param("https://[v1.x]/", "host_form", id="ipvfuture"),
        pytest.param("https://[]/", "host_form", id="empty-brackets"),
        pytest.param("https://::1/", "url_form", id="ipv6-without-brackets"),
        pytest.param("https://%31%32%37.0.0.1/", "host_form", id="percent"),
        pytest.param("https://straße.example/", "host_idna", id="sharp-s"),
        pytest.param("https://a\u200db.example/", "host_idna", id="joiner"),
        pytest.param("https://" + "é" * 64 + ".example/", "host_idna", id="label-too-long-after-idna"),
        pytest.param("https://" + "a" * 64 + ".example/", "host_form", id="label-too-long"),
        pytest.param("https://" + "a." * 127 + "com/", "host_form", id="host-too-long"),
        pytest.param("https://-a.example/", "host_form", id="hyphen-first"),
        pytest.param("https://a..example/", "host_form", id="empty-label"),
        pytest.param("https://h.example../", "host_form", id="two-dots-at-the-end"),
        pytest.param("https://./", "host_form", id="dot-only"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(url: str, code: str) -> None:
    with pytest.raises(DataError) as refused:
        parse_target(url)
    assert refused.value.code == code
    assert refused.value.field == "url"


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        pytest.param("https://h.example:443/", "h.example", id="https"),
        pytest.param("http://h.example:80/", "h.example", id="http"),
        pytest.param("http://h.example:443/", "h.example:443", id="port-of-the-other"),
        pytest.param("https://h.example:8443/", "h.example:8443", id="other-port"),
        pytest.param("https://[2606:4700::1]/", "[2606:4700::1]", id="ipv6"),
        pytest.param("https://[2606:4700::1]:8443/", "[2606:4700::1]:8443", id="ipv6-and-port"),
    ],
)
def test_host_is_said_without_the_usual_port(url: str, authority: str) -> None:
    assert parse_target(url).authority == authority


def test_no_refusal_shows_the_url_that_may_hold_a_token() -> None:
    with pytest.raises(DataError) as refused:
        parse_target("https://user:hunter2@h.example/token-1#x")
    assert "hunter2" not in str(refused.value)
    assert "token-1" not in str(refused.value)


@given(st.text(max_size=60).map("https://".__add__) | st.text(max_size=60))
def test_any_text_is_refused_or_read_as_urlsplit_reads_its_one_spelling(text: str) -> None:
    try:
        target = parse_target(text)
    except DataError:
        return
    seen = urlsplit(target.url)
    assert (seen.hostname, seen.port or (443 if target.is_tls else 80)) == (target.host, target.port)
    assert (seen.username, seen.fragment) == (None, "")
    assert target.url.isascii()
    assert target.url.isprintable()
    assert parse_target(target.url) == target
