"""The mailbox providers of the simulated world, each with its own habits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from postloop.simulation.replies import APPLE, GENERIC, GMAIL, MICROSOFT, YAHOO, Reply

APPLE_MPP_AGENT: Final = "Mozilla/5.0"
"""Apple Mail Privacy Protection announces exactly this."""
GMAIL_AGENT: Final = (
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
)
YAHOO_AGENT: Final = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
SCANNER_AGENTS: Final = (
    "Barracuda Sentinel (EE)",
    "python-requests/2.32.3",
    "Mozilla/5.0 (compatible; MimecastLinkScanner/2.1)",
    "Mozilla/5.0 (X11; Linux x64) HeadlessChrome/131.0.0.0",
)
CLIENT_AGENTS: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 Mobile/22D63",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/133.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.6.0",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.18429; Pro)",
    "",  # some clients say nothing; a person all the same
)
_TABLE_SIZE: Final = 1024


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One provider.

    Attributes:
        provider: The name that Postloop knows it by.
        share: Share of all recipients.
        latency_s: Median time from sending to delivery; `spread` is the sigma of its logarithm.
        deferral_rate, bounce_rate: Shares of messages.
        machine_factor: How much likelier than on average a machine fetches the image first.
        open_agents: What people open with here.
        reports: It tells the sender about complaints.
    """

    provider: str
    share: float
    domains: tuple[str, ...]
    hosts: tuple[str, ...]
    latency_s: float
    spread: float
    deferral_rate: float
    bounce_rate: float
    machine_factor: float
    reports: bool = False
    replies: tuple[Reply, ...] = GENERIC
    open_agents: tuple[str, ...] = CLIENT_AGENTS
    accepted: str = "250 2.0.0 OK queued as %s"


MAILBOXES: Final = (
    Mailbox(
        "gmail",
        0.37,
        ("gmail.com", "gmail.com", "gmail.com", "googlemail.com"),
        ("gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"),
        1.6,
        0.9,
        0.010,
        0.012,
        0.25,
        replies=GMAIL,
        open_agents=(GMAIL_AGENT,),
        accepted="250 2.0.0 OK  %s - gsmtp",
    ),
    Mailbox(
        "microsoft",
        0.17,
        ("outlook.com", "hotmail.com", "live.com", "msn.com", "hotmail.co.uk"),
        ("outlook-com.olc.protection.outlook.com",),
        5.5,
        0.9,
        0.020,
        0.025,
        0.9,
        True,
        MICROSOFT,
        accepted="250 2.6.0 %s Queued mail for delivery -> 250 2.1.5",
    ),
    Mailbox(
        "yahoo",
        0.13,
        ("yahoo.com", "ymail.com", "aol.com", "yahoo.de"),
        ("mta5.am0.yahoodns.net", "mta7.am0.yahoodns.net"),
        4.0,
        1.0,
        0.050,
        0.022,
        0.4,
        True,
        YAHOO,
        (YAHOO_AGENT,),
        "250 ok dirdel %s",
    ),
    Mailbox(
        "apple",
        0.08,
        ("icloud.com", "me.com", "mac.com"),
        ("mx01.mail.icloud.com", "mx02.mail.icloud.com"),
        3.0,
        0.7,
        0.010,
        0.015,
        4.0,
        replies=APPLE,
        open_agents=CLIENT_AGENTS[:3],
        accepted="250 2.0.0 Ok: queued as %s",
    ),
    Mailbox("gmx", 0.04, ("gmx.de", "gmx.net"), ("mx00.gmx.net", "mx01.gmx.net"), 6.0, 0.8, 0.03, 0.018, 0.5),
    Mailbox("webde", 0.03, ("web.de",), ("mx-ha02.web.de",), 6.0, 0.8, 0.03, 0.018, 0.5),
    Mailbox("qq", 0.03, ("qq.com", "foxmail.com"), ("mx3.qq.com",), 9.0, 1.2, 0.06, 0.05, 0.2),
    Mailbox(
        "netease", 0.02, ("163.com", "126.com"), ("163mx01.mxmail.netease.com",), 9.0, 1.2, 0.06, 0.05, 0.2
    ),
    Mailbox("mailru", 0.02, ("mail.ru", "bk.ru"), ("mxs.mail.ru",), 5.0, 1.0, 0.04, 0.03, 0.2, True),
    Mailbox("comcast", 0.02, ("comcast.net",), ("mx1a1.comcast.net",), 5.0, 0.9, 0.04, 0.02, 0.8, True),
    Mailbox("orange", 0.01, ("orange.fr", "wanadoo.fr"), ("smtp-in.orange.fr",), 8.0, 1.1, 0.08, 0.03, 0.5),
    Mailbox("proton", 0.01, ("proton.me", "pm.me"), ("mail.protonmail.ch",), 4.0, 0.8, 0.03, 0.01, 0.1),
    # Companies: greylisting, security gateways that open everything, servers of every kind.
    Mailbox(
        "corporate",
        0.068,
        (
            "northfield-foods.example",
            "blauwasser-logistik.example",
            "acme-tools.example",
            "stadtwerke-am-see.example",
            "kite-and-harbor.example",
        ),
        ("mx1.northfield-foods.example", "mail.acme-tools.example", "gw.blauwasser-logistik.example"),
        9.0,
        1.3,
        0.15,
        0.03,
        3.0,
    ),
    Mailbox("other", 0.002, ("[192.0.2.25]", "mailhost"), ("192.0.2.25",), 4.0, 0.6, 0.02, 0.05, 0.0),
)


def lognormal_table_ms(median_s: float, sigma: float) -> tuple[int, ...]:
    """Return evenly likely values of a log-normal distribution, in ms, for a draw to choose from."""
    normal = NormalDist()
    quantiles = (normal.inv_cdf((i + 0.5) / _TABLE_SIZE) for i in range(_TABLE_SIZE))
    return tuple(int(1000 * median_s * math.exp(sigma * z)) + 1 for z in quantiles)
