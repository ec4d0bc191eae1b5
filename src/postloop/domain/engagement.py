"""Who opened a message: a person, or a machine that fetched the image for its own reasons.

A first set of rules by user agent and distance from the sending; a later classifier may know more.
"""

import re
from functools import lru_cache
from typing import Final, Literal

from postloop.domain.event_types import OpenKind

OpenReason = Literal["apple_mpp", "image_proxy_at_once", "image_proxy", "scanner", "no_user_agent", "client"]

AT_ONCE_S: Final = 2.0
"""An image proxy that fetches sooner than this after the delivery was not sent by a reader."""
_USER_AGENT_CACHE_SIZE: Final = 4_096

# Apple Mail Privacy Protection fetches every image through relays that announce this and nothing more.
_APPLE_MPP: Final = "Mozilla/5.0"
# Gmail and Yahoo fetch when the reader opens, and hide the reader's client.
_is_image_proxy: Final = re.compile(r"GoogleImageProxy|YahooMailProxy", re.IGNORECASE).search
# Programs that say what they are: gateways that open links and images before the mailbox does, crawlers, HTTP
# libraries. "bot" must end a word and not belong to CUBOT, a maker of phones.
_is_scanner: Final = re.compile(
    r"(?<!cu)bot\b|crawler|spider|scanner|barracuda|proofpoint|urldefense|mimecast|symantec|messagelabs|fireeye"
    r"|bingpreview|headless|phantomjs|python-|aiohttp|libwww|\bcurl/|\bwget/|go-http-client|apache-httpclient"
    r"|\bjava/|okhttp|node-fetch|\baxios/",
    re.IGNORECASE,
).search


def open_kind(user_agent: str, *, since_delivery_s: float | None = None) -> tuple[OpenKind, OpenReason]:
    """Return whether a person or a machine opened, and the rule that decided.

    `since_delivery_s` is the time from the delivery (or from anything before it, such as the sending) to the
    open; None or a negative value (clocks that disagree) means that it is not known. Without a user agent
    there is no sign of a machine, so it counts as a person.
    """
    reason = _by_user_agent(user_agent)
    if reason == "image_proxy" and since_delivery_s is not None and 0 <= since_delivery_s < AT_ONCE_S:
        reason = "image_proxy_at_once"
    return ("machine" if reason in _MACHINE else "human"), reason


_MACHINE: Final = frozenset({"apple_mpp", "image_proxy_at_once", "scanner"})


@lru_cache(maxsize=_USER_AGENT_CACHE_SIZE)
def _by_user_agent(user_agent: str) -> OpenReason:
    name = user_agent.strip()
    if not name:
        return "no_user_agent"
    if name == _APPLE_MPP:
        return "apple_mpp"
    if _is_image_proxy(name):
        return "image_proxy"
    return "scanner" if _is_scanner(name) else "client"
