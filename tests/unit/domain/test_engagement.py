"""Opens by people and by machines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.engagement import open_kind

GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "since_delivery_s", "kind", "reason"),
    [
        pytest.param("Mozilla/5.0", None, "machine", "apple_mpp", id="apple-mpp"),
        pytest.param("Mozilla/5.0", 86_400, "machine", "apple_mpp", id="apple-mpp-a-day-later"),
        pytest.param(GMAIL, None, "human", "image_proxy", id="gmail"),
        pytest.param(GMAIL, 2.0, "human", "image_proxy", id="gmail-after-2-s"),
        pytest.param(GMAIL, 1.9, "machine", "image_proxy_at_once", id="gmail-at-once"),
        pytest.param(GMAIL, -3.0, "human", "image_proxy", id="gmail-clocks-disagree"),
        pytest.param(YAHOO, 60, "human", "image_proxy", id="yahoo"),
        pytest.param(YAHOO, 0, "machine", "image_proxy_at_once", id="yahoo-at-once"),
        pytest.param(IPHONE, 1.0, "human", "client", id="a-phone-on-the-table"),
        pytest.param("", None, "human", "no_user_agent", id="no-user-agent"),
        pytest.param(
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            None,
            "machine",
            "scanner",
            id="bot",
        ),
        pytest.param(
            "Mozilla/5.0 (Linux; Android 9; CUBOT X19) Mobile", None, "human", "client", id="cubot-is-a-phone"
        ),
        pytest.param("Mozilla/5.0 BingPreview/1.0b", None, "machine", "scanner", id="preview"),
        pytest.param("BarracudaSentinel (EE)", None, "machine", "scanner", id="gateway"),
        pytest.param("python-requests/2.31", None, "machine", "scanner", id="http-library"),
        pytest.param(
            "Mozilla/4.0 (compatible; ms-office; MSOffice 16)", None, "human", "client", id="outlook"
        ),
        pytest.param(
            "Mozilla/5.0 (X11; Linux x86_64) Thunderbird/115.0", None, "human", "client", id="thunderbird"
        ),
    ],
)
def test_who_opened(user_agent: str, since_delivery_s: float | None, kind: str, reason: str) -> None:
    assert open_kind(user_agent, since_delivery_s=since_delivery_s) == (kind, reason)


@given(st.text(), st.none() | st.floats(allow_nan=False))
def test_time_alone_never_turns_a_client_into_a_machine(
    user_agent: str, since_delivery_s: float | None
) -> None:
    kind, reason = open_kind(user_agent, since_delivery_s=since_delivery_s)
    assert kind in ("human", "machine")
    if reason in ("client", "no_user_agent"):
        assert kind == "human"
