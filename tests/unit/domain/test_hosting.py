"""Who runs the server that answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.hosting import _HOST_OF, _SERVERS, hosted_by


@pytest.mark.parametrize(
    ("remote_host", "host"),
    [
        pytest.param("aspmx.l.google.com", "gmail", id="google-workspace"),
        pytest.param("gmail-smtp-in.l.google.com", "gmail", id="gmail"),
        pytest.param("ASPMX2.GoogleMail.com.", "gmail", id="capitals-and-the-root"),
        pytest.param("acme-com.mail.protection.outlook.com", "microsoft", id="microsoft-365"),
        pytest.param("acme-com.o-v1.mx.microsoft", "microsoft", id="microsoft-365-since-2024"),
        pytest.param("hotmail-com.olc.protection.outlook.com", "microsoft", id="outlook.com"),
        pytest.param("mta7.am0.yahoodns.net", "yahoo", id="yahoo"),
        pytest.param("mx01.mail.icloud.com", "apple", id="icloud"),
        pytest.param("mxbiz1.qq.com", "qq", id="tencent-for-companies"),
        pytest.param("mx0a-00123456.pphosted.com", "proofpoint", id="gateway"),
        pytest.param("mx.example.org", None, id="a-companys-own"),
        pytest.param("notgoogle.com", None, id="ends-like-google"),
        pytest.param("google.com.example.org", None, id="begins-like-google"),
        pytest.param("mx1.google.com[192.0.2.1]:25", "gmail", id="as-postfix-writes-it"),
        pytest.param("mx1.google.com (192.0.2.1)", "gmail", id="as-a-comment"),
        pytest.param("192.0.2.1", None, id="address"),
        pytest.param("[192.0.2.1]", None, id="address-literal"),
        pytest.param("", None, id="none"),
        pytest.param(" . ", None, id="only-a-dot"),
    ],
)
def test_who_runs_the_server(remote_host: str, host: str | None) -> None:
    assert hosted_by(remote_host) == host


def test_every_name_belongs_to_one_host() -> None:
    assert len(_HOST_OF) == sum(len(domains.split()) for domains in _SERVERS.values())


@given(st.text(), st.sampled_from(sorted(_HOST_OF)))
def test_any_text_has_an_answer_and_a_label_in_front_changes_none(text: str, domain: str) -> None:
    assert hosted_by(text) in {None, *_SERVERS}
    assert hosted_by(f"mx7.{domain}") == hosted_by(domain) == _HOST_OF[domain]
