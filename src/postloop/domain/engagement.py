"""Who opened a message: a person, or a machine that fetched the image for its own reasons.

What decides is the user agent and how long after the delivery the image was fetched; the verdict and its reason
are kept, the address is neither needed nor stored. Where nothing speaks for a machine a person opened: clients
that nobody knows yet are far more than machines that nobody knows yet.
"""

import re
from functools import lru_cache
from typing import Final, Literal

from postloop.domain.event_types import OpenKind

OpenReason = Literal[
    "apple_mpp", "prefetch", "image_proxy_at_once", "image_proxy", "scanner", "no_user_agent", "client"
]

AT_ONCE_S: Final = 2.0
"""An image proxy that fetches sooner than this after the delivery was not sent by a reader."""
_USER_AGENT_CACHE_SIZE: Final = 4_096
_MAX_USER_AGENT_CHARS: Final = 1_024
"""What stands behind this in a user agent decides nothing; web servers cap a header line at 8 KiB."""

# Apple Mail Privacy Protection fetches every image soon after the delivery, read or not, through relays that
# announce this and nothing more, which no browser does. The relays' addresses say the same, but their list
# changes by the week and would have to be fetched.
_APPLE_MPP: Final = "mozilla/5.0"

# Gmail's fetch ahead of the reader, apart from its image proxy: Edge 12 was a browser of 2015, and no Edge ends
# its user agent by starting another. Source: bird.com/en/resources/blog/gmail-prefetching-images.
_PREFETCH: Final = "edge/12.246 mozilla/5.0"

# Providers that fetch when the reader opens and hide the reader's client: Gmail, Yahoo and AOL, HEY, Fastmail,
# Seznam, Yandex. This and the lists below are words in lower case: substrings, ten times as fast as a pattern.
_IMAGE_PROXIES: Final = (
    "googleimageproxy",
    "ggpht.com",
    "yahoomailproxy",
    "hey.com/imageproxy",
    "fastmailua",
    "seznamemailproxy",
    "yandeximageresizer",
)
_SCANNERS_BY_KIND: Final = {
    "says that it is one": "crawler spider scanner robots bingpreview microsoftpreview uripreview externalhit",
    "gateway that opens links and images before the mailbox does": """barracuda proofpoint urldefense mimecast
        symantec messagelabs fireeye trellix ironport trendmicro sophos forcepoint websense zscaler checkpoint
        avanan cloudmark vadesecure safelinks bitdefender kaspersky virustotal urlscan phishtank cyren fortiguard
        mailguard hornetsecurity""",
    "chat program that shows what a link leads to": "slack-imgproxy whatsapp/ googlemessages iframely embedly",
    "browser without a person, or HTTP library": """headless phantomjs puppeteer playwright selenium python-
        python/ aiohttp httpx libwww curl/ wget/ go-http-client apache-httpclient java/ okhttp node-fetch axios/
        undici guzzlehttp lua-resty ahc/ php/ winhttp powershell postmanruntime""",
}
_SCANNERS: Final = tuple(word for words in _SCANNERS_BY_KIND.values() for word in words.split())
# "bot" ends a word and is not of CUBOT, a maker of phones.
_is_bot: Final = re.compile(r"(?<!cu)bot\b|^ruby\b").search
# A mail program is one whatever else it names: the plug-ins of Outlook and Thunderbird stand there too.
_MAIL_CLIENTS: Final = (
    "ms-office",
    "msoffice",
    "microsoft office/",
    "microsoft outlook",
    "outlook-ios",
    "outlook-android",
    "macoutlook",
    "thunderbird/",
)

_MACHINE: Final = frozenset({"apple_mpp", "prefetch", "image_proxy_at_once", "scanner"})


def open_kind(user_agent: str, *, since_delivery_s: float | None = None) -> tuple[OpenKind, OpenReason]:
    """Return whether a person or a machine opened, and the rule that decided.

    `since_delivery_s` is the time from the delivery (or from anything before it, such as the sending) to the
    open; None or a negative value (clocks that disagree) means that it is not known. Without a user agent
    there is no sign of a machine, so it counts as a person.
    """
    reason = _by_user_agent(user_agent[:_MAX_USER_AGENT_CHARS])
    return open_kind_by_delivery(reason, since_delivery_s=since_delivery_s)


def open_kind_by_delivery(
    reason: OpenReason, *, since_delivery_s: float | None
) -> tuple[OpenKind, OpenReason]:
    """Return the verdict on an open once its delivery is known; `reason` is what was said without it.

    Only an image proxy is judged otherwise by its delivery, and only ever as a machine: to say it again, or with
    another delivery that tells less, takes nothing back.
    """
    if reason == "image_proxy" and since_delivery_s is not None and 0 <= since_delivery_s < AT_ONCE_S:
        reason = "image_proxy_at_once"
    return ("machine" if reason in _MACHINE else "human"), reason


@lru_cache(maxsize=_USER_AGENT_CACHE_SIZE)
def _by_user_agent(user_agent: str) -> OpenReason:
    name = user_agent.strip().lower()
    if not name:
        return "no_user_agent"
    if name == _APPLE_MPP:
        return "apple_mpp"
    if _names_any(name, _IMAGE_PROXIES):
        return "image_proxy"
    if name.endswith(_PREFETCH):
        return "prefetch"
    is_program = _names_any(name, _SCANNERS) or _is_bot(name) is not None
    return "scanner" if is_program and not _names_any(name, _MAIL_CLIENTS) else "client"


def _names_any(name: str, words: tuple[str, ...]) -> bool:
    return any(word in name for word in words)
