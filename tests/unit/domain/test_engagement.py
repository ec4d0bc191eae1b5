"""Opens by people and by machines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.engagement import AT_ONCE_S, open_kind

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
GMAIL_PREFETCH = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"

PEOPLE = {
    "iphone-mail": f"{IPHONE} Mobile/15E148",
    "ipad-mail": "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "mac-mail": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "outlook-says-only-office": "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    "outlook-2010": "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.1; WOW64; Trident/7.0; Microsoft Outlook 14.0.7268; ms-office)",
    "outlook-2016": "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.5134; Pro)",
    "outlook-with-a-virus-scanner": "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.5134; Symantec plug-in)",
    "outlook-mac": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4) AppleWebKit/605.1.15 MacOutlook/16.83.24031120",
    "outlook-ios": "Outlook-iOS/709.3250000.prod.iphone (4.2415.0)",
    "outlook-android": "Mozilla/5.0 (Linux; Android 14; Pixel 8) Outlook-Android/2.0",
    "new-outlook": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/122.0.0.0 Safari/537.36 Edg/122.0.2365.92 OneOutlook/1.2024.313.100",
    "windows-mail": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Trident/7.0; rv:11.0) like Gecko",
    "thunderbird": "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.9.0",
    "thunderbird-with-spider-in-a-plug-in": "Mozilla/5.0 (Windows NT 10.0; rv:102.0) Gecko/20100101 Thunderbird/102.0 Spiderly/1.1",
    "samsung-mail": f"Mozilla/5.0 (Linux; Android 13; SM-G991B Build/TP1A; wv) {WEBKIT} Version/4.0 Chrome/120.0 Mobile Safari/537.36 SamsungEmail/6.1",
    "gmail-app-with-another-account": f"Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) {WEBKIT} Version/4.0 Chrome/121.0 Mobile Safari/537.36",
    "k9": "Mozilla/5.0 (Linux; Android 12; moto g) AppleWebKit/537.36 Chrome/119.0 Mobile Safari/537.36 K-9 Mail",
    "em-client": "Mozilla/5.0 (Windows NT 10.0; WOW64) eM Client/9.2.2157.0",
    "mailbird": f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Mailbird/3.0.3 Chrome/118.0 Safari/537.36",
    "the-bat": "The Bat! 10.5",
    "airmail": "Airmail 5.6 (iPhone; iOS 16.2)",
    "spark": "Mozilla/5.0 (Macintosh; Intel Mac OS X 13_1) AppleWebKit/605.1.15 (KHTML, like Gecko) Spark/3.9",
    "superhuman": f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Superhuman/1037.0.11 Chrome/120.0 Electron/28.1 Safari/537.36",
    "postbox": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15) Gecko/20100101 PostboxApp/7.0.60",
    "qq-mail-app": "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 QQMail/6.4.7",
    "foxmail": "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Foxmail/7.2.25.254)",
    "netease-mailmaster": "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Chrome/110.0 Mobile Safari/537.36 MailMaster_Android/7.17",
    "naver-app": "Mozilla/5.0 (Linux; Android 13; SM-S901N) AppleWebKit/537.36 Mobile Safari/537.36 NAVER(inapp; mail; 320)",
    "webmail-firefox": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:124.0) Gecko/20100101 Firefox/124.0",
    "webmail-safari": f"{IPHONE} Version/17.4 Mobile/15E148 Safari/604.1",
    "webmail-duckduckgo-browser": f"Mozilla/5.0 (Linux; Android 13) {WEBKIT} Mobile DuckDuckGo/5 Safari/537.36",
    "webmail-edge-12-itself": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/42.0.2311.135 Safari/537.36 Edge/12.246",
    "cubot-is-a-phone": "Mozilla/5.0 (Linux; Android 9; CUBOT X19) Mobile",
    "a-name-nobody-knows": "PigeonPost/0.1",
    "more-than-the-bare-product": "Mozilla/5.0 (compatible)",
}  # fmt: skip
PROXIES = {
    "gmail": GMAIL,
    "gmail-old": "Mozilla/5.0 (Windows; U; Windows NT 5.1; de; rv:1.9.0.7) Gecko/2009021910 Firefox/3.0.7 (via ggpht.com)",
    "yahoo-and-aol": YAHOO,
    "hey": "Mozilla/5.0 (compatible; hey.com/imageproxy)",
    "fastmail": "Mozilla/5.0 (compatible; FastmailUA/1.0)",
    "seznam": "SeznamEmailProxy/2.0.76 (+http://napoveda.seznam.cz/cz/email/)",
    "yandex-though-it-says-bots": "Mozilla/5.0 (compatible; YandexImageResizer/2.0; +http://yandex.com/bots)",
}  # fmt: skip
SCANNERS = {
    "barracuda": "Barracuda Sentinel (EE)",
    "mimecast": "Mozilla/5.0 (compatible; Mimecast URL Protection)",
    "proofpoint": "Mozilla/5.0 (X11; Linux x86_64) Proofpoint TAP",
    "messagelabs": "MessageLabs Link Following",
    "safelinks-names-office": "Microsoft Office SafeLinks Protection",
    "ms-search": "Mozilla/4.0 (compatible; MSIE 4.01; Windows NT; MS Search 6.0 Robot)",
    "sophos": "SophosLabs URL checker",
    "virustotal": "AppEngine-Google; (+http://code.google.com/appengine; appid: s~virustotalcloud)",
    "googlebot": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "bing-preview": f"Mozilla/5.0 (Windows NT 6.1; WOW64) {WEBKIT} Chrome/103.0 Safari/537.36 BingPreview/1.0b",
    "skype-preview": "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    "slackbot": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "slack-image": "Slack-ImgProxy (+https://api.slack.com/robots)",
    "telegram": "TelegramBot (like TwitterBot)",
    "whatsapp": "WhatsApp/2.23.20.0",
    "facebook": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "duckduckgo-fetches-an-icon": "DuckDuckGo-Favicons-Bot/1.0",
    "headless-chrome": f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/120.0.0.0 Safari/537.36",
    "curl": "curl/8.5.0",
    "wget": "Wget/1.21.4",
    "python-requests": "python-requests/2.31.0",
    "aiohttp": "Python/3.11 aiohttp/3.9.1",
    "go": "Go-http-client/2.0",
    "java": "Java/17.0.9",
    "okhttp": "okhttp/4.12.0",
    "lua": "lua-resty-http/0.10 (Lua) ngx_lua/10019",
    "ruby": "Ruby",
}  # fmt: skip


def named(agents: dict[str, str]) -> list[object]:
    return [pytest.param(agent, id=name) for name, agent in agents.items()]


@pytest.mark.parametrize("user_agent", named(PEOPLE))
@pytest.mark.parametrize("since_delivery_s", [None, 0.0, 3_600.0])
def test_a_persons_client_is_a_person_however_soon(user_agent: str, since_delivery_s: float | None) -> None:
    assert open_kind(user_agent, since_delivery_s=since_delivery_s) == ("human", "client")


@pytest.mark.parametrize("user_agent", named(PROXIES))
def test_an_image_proxy_is_a_person_unless_it_came_at_once(user_agent: str) -> None:
    assert open_kind(user_agent) == ("human", "image_proxy")
    assert open_kind(user_agent, since_delivery_s=AT_ONCE_S) == ("human", "image_proxy")
    assert open_kind(user_agent, since_delivery_s=1.9) == ("machine", "image_proxy_at_once")
    assert open_kind(user_agent, since_delivery_s=0.0) == ("machine", "image_proxy_at_once")


def test_clocks_that_disagree_say_nothing() -> None:
    assert open_kind(GMAIL, since_delivery_s=-3.0) == ("human", "image_proxy")


@pytest.mark.parametrize("user_agent", named(SCANNERS))
@pytest.mark.parametrize("since_delivery_s", [None, 86_400.0])
def test_a_program_is_a_machine_however_late(user_agent: str, since_delivery_s: float | None) -> None:
    assert open_kind(user_agent, since_delivery_s=since_delivery_s) == ("machine", "scanner")


@pytest.mark.parametrize(
    ("user_agent", "reason"),
    [
        pytest.param("Mozilla/5.0", "apple_mpp", id="apple-privacy-protection"),
        pytest.param(" Mozilla/5.0 ", "apple_mpp", id="apple-with-blanks"),
        pytest.param(GMAIL_PREFETCH, "prefetch", id="gmail-ahead-of-the-reader"),
    ],
)
@pytest.mark.parametrize("since_delivery_s", [None, 86_400.0])
def test_a_prefetch_is_a_machine_however_late(
    user_agent: str, reason: str, since_delivery_s: float | None
) -> None:
    assert open_kind(user_agent, since_delivery_s=since_delivery_s) == ("machine", reason)


@pytest.mark.parametrize("user_agent", ["", "  "])
def test_without_a_user_agent_a_person_opened(user_agent: str) -> None:
    assert open_kind(user_agent, since_delivery_s=1.0) == ("human", "no_user_agent")


@given(st.text(), st.none() | st.floats(allow_nan=False))
def test_time_alone_never_turns_a_client_into_a_machine(
    user_agent: str, since_delivery_s: float | None
) -> None:
    kind, reason = open_kind(user_agent, since_delivery_s=since_delivery_s)
    assert kind in ("human", "machine")
    if reason in ("client", "no_user_agent"):
        assert kind == "human"


@given(st.sampled_from([*PEOPLE.values(), *PROXIES.values(), *SCANNERS.values()]), st.integers(0, 40_000))
def test_capitals_and_a_long_tail_change_nothing(user_agent: str, tail: int) -> None:
    told = open_kind(user_agent)
    assert open_kind(user_agent.upper()) == told
    assert open_kind(user_agent.lower() + " x" * tail) == told
