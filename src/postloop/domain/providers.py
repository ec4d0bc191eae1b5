"""Who runs a recipient's mailbox: a bounded table of known providers.

The table is a closed list because every name is a dimension of the rollups. Domains come from the providers'
own sign-up and help pages; a provider that hosts domains of companies (Google Workspace, Microsoft 365)
cannot be seen in the recipient's domain, and such mail is `corporate`: see `hosting` for what the host tells.
"""

import re
from typing import Final

CORPORATE: Final = "corporate"
"""A domain that no row below names: a company, a school, a small provider."""
OTHER: Final = "other"
"""No usable domain: nothing after the @, an address literal, a name without a dot."""

_DOMAINS: Final[dict[str, str]] = {
    "gmail": "gmail.com googlemail.com",
    # outlook.com's consumer service under all its names.
    "microsoft": """outlook.com hotmail.com live.com msn.com passport.com windowslive.com hotmail.at
        hotmail.be hotmail.ca hotmail.ch hotmail.cl hotmail.co.id hotmail.co.il hotmail.co.jp hotmail.co.kr
        hotmail.co.nz hotmail.co.th hotmail.co.uk hotmail.co.za hotmail.com.ar hotmail.com.au
        hotmail.com.br hotmail.com.hk hotmail.com.mx hotmail.com.tr hotmail.com.tw hotmail.cz
        hotmail.de hotmail.dk hotmail.es hotmail.fi hotmail.fr hotmail.gr hotmail.hu hotmail.it
        hotmail.my hotmail.nl hotmail.no hotmail.ph hotmail.pl hotmail.pt hotmail.ru hotmail.se
        hotmail.sg live.at live.be live.ca live.ch live.cl live.cn live.co.kr live.co.uk live.co.za
        live.com.ar live.com.au live.com.mx live.com.my live.com.ph live.com.pt live.com.sg live.de
        live.dk live.fi live.fr live.hk live.ie live.in live.it live.jp live.nl live.no live.ru
        live.se outlook.at outlook.be outlook.cl outlook.co.id outlook.co.il outlook.co.nz
        outlook.co.th outlook.com.ar outlook.com.au outlook.com.br outlook.com.gr outlook.com.tr
        outlook.com.vn outlook.cz outlook.de outlook.dk outlook.es outlook.fr outlook.hu outlook.ie
        outlook.in outlook.it outlook.jp outlook.kr outlook.lv outlook.my outlook.ph outlook.pt
        outlook.sa outlook.sg outlook.sk""",
    # AOL (with AIM, Netscape, CompuServe and Verizon's former mailboxes) runs on Yahoo's platform, with its
    # replies, and reports through the same feedback loop, so it is one provider here.
    "yahoo": """yahoo.com ymail.com rocketmail.com myyahoo.com yahoo.at yahoo.be yahoo.ca yahoo.ch yahoo.cl
        yahoo.cn yahoo.co.id yahoo.co.il yahoo.co.in yahoo.co.kr yahoo.co.nz yahoo.co.th yahoo.co.uk
        yahoo.co.za yahoo.com.ar yahoo.com.au yahoo.com.br yahoo.com.cn yahoo.com.co yahoo.com.hk
        yahoo.com.mx yahoo.com.my yahoo.com.pe yahoo.com.ph yahoo.com.sg yahoo.com.tr yahoo.com.tw
        yahoo.com.ve yahoo.com.vn yahoo.cz yahoo.de yahoo.dk yahoo.es yahoo.fi yahoo.fr yahoo.gr
        yahoo.hu yahoo.ie yahoo.in yahoo.it yahoo.nl yahoo.no yahoo.pl yahoo.pt yahoo.ro yahoo.se
        aol.com aol.co.uk aol.de aol.fr aol.it aol.es aol.nl aol.se aol.com.au aol.com.br aol.com.mx
        aol.ca aim.com love.com games.com wow.com netscape.net cs.com compuserve.com verizon.net""",
    # A company of its own (LY Corporation) with its own servers and replies.
    "yahoojp": "yahoo.co.jp ybb.ne.jp ymail.ne.jp",
    "apple": "icloud.com me.com mac.com privaterelay.appleid.com",
    "qq": "qq.com foxmail.com vip.qq.com",
    "netease": "163.com 126.com yeah.net vip.163.com vip.126.com 188.com netease.com",
    "sina": "sina.com sina.cn vip.sina.com sina.com.cn",
    "sohu": "sohu.com vip.sohu.com",
    "aliyun": "aliyun.com",
    "chinamobile": "139.com",
    "chinatelecom": "189.cn",
    # GMX and WEB.DE share an operator (1&1) but not their names; people look for both.
    "gmx": "gmx.de gmx.net gmx.at gmx.ch gmx.com gmx.us gmx.fr gmx.es gmx.co.uk gmx.eu gmx.li",
    "webde": "web.de email.de",
    "maildotcom": "mail.com email.com usa.com post.com europe.com consultant.com engineer.com",
    "tonline": "t-online.de magenta.de",
    "freenet": "freenet.de",
    "mailru": "mail.ru inbox.ru list.ru bk.ru internet.ru vk.com xmail.ru",
    "yandex": "yandex.ru yandex.com yandex.by yandex.kz yandex.ua yandex.uz ya.ru narod.ru",
    "rambler": "rambler.ru lenta.ru autorambler.ru myrambler.ru ro.ru",
    "ukrnet": "ukr.net",
    "proton": "proton.me protonmail.com protonmail.ch pm.me",
    "zoho": "zoho.com zohomail.com zoho.eu zohomail.eu zohomail.in",
    "fastmail": "fastmail.com fastmail.fm fastmail.net fastmail.org fastmail.co.uk sent.com",
    "tuta": "tuta.com tuta.io tutanota.com tutanota.de tutamail.com keemail.me",
    "comcast": "comcast.net xfinity.com",
    "att": """att.net sbcglobal.net bellsouth.net ameritech.net pacbell.net swbell.net prodigy.net
        flash.net nvbell.net snet.net wans.net""",
    "charter": "charter.net spectrum.net rr.com roadrunner.com twc.com brighthouse.com",
    "cox": "cox.net",
    "centurylink": "centurylink.net centurytel.net embarqmail.com q.com qwest.net",
    "frontier": "frontier.com frontiernet.net",
    "optimum": "optonline.net optimum.net suddenlink.net",
    "earthlink": "earthlink.net mindspring.com",
    "juno": "juno.com netzero.net netzero.com",
    "rogers": "rogers.com",
    "bell": "bell.net sympatico.ca",
    "shaw": "shaw.ca",
    "telus": "telus.net",
    "videotron": "videotron.ca",
    "orange": "orange.fr wanadoo.fr voila.fr",
    "free": "free.fr freesbee.fr libertysurf.fr aliceadsl.fr",
    "sfr": "sfr.fr neuf.fr cegetel.net club-internet.fr numericable.fr 9online.fr noos.fr",
    "bouygues": "bbox.fr",
    "laposte": "laposte.net",
    "libero": "libero.it virgilio.it iol.it inwind.it blu.it giallo.it",
    "tim": "tim.it alice.it tin.it",
    "tiscali": "tiscali.it",
    "aruba": "aruba.it pec.it",
    "bt": "btinternet.com btopenworld.com talk21.com bt.com",
    "sky": "sky.com",
    "virgin": "virginmedia.com ntlworld.com blueyonder.co.uk virgin.net",
    "talktalk": "talktalk.net tiscali.co.uk",
    "telefonica": "telefonica.net movistar.es",
    "sapo": "sapo.pt",
    "telenet": "telenet.be",
    "proximus": "skynet.be proximus.be",
    "ziggo": "ziggo.nl home.nl upcmail.nl chello.nl casema.nl quicknet.nl",
    "kpn": "kpnmail.nl planet.nl hetnet.nl kpnplanet.nl xs4all.nl",
    "bluewin": "bluewin.ch",
    "telia": "telia.com",
    "telenor": "online.no",
    "seznam": "seznam.cz email.cz post.cz spoluzaci.cz",
    "centrum": "centrum.cz volny.cz atlas.cz centrum.sk",
    "wp": "wp.pl o2.pl tlen.pl",
    "onet": "onet.pl op.pl poczta.onet.pl vp.pl onet.eu autograf.pl buziaczek.pl",
    "interia": "interia.pl interia.eu interia.com poczta.fm",
    "freemail": "freemail.hu",
    "citromail": "citromail.hu",
    "abv": "abv.bg",
    "uol": "uol.com.br bol.com.br",  # BOL is a brand of UOL on the same servers
    "terra": "terra.com.br terra.com",
    "ig": "ig.com.br",
    "globo": "globo.com globomail.com",
    "naver": "naver.com",
    "daum": "daum.net hanmail.net kakao.com",
    "nate": "nate.com",
    "docomo": "docomo.ne.jp",
    "au": "ezweb.ne.jp au.com",
    "softbank": "softbank.ne.jp i.softbank.jp",
    "rediff": "rediffmail.com rediff.com",
    "telkom": "telkom.net plasa.com",
    "telkomsa": "telkomsa.net",
    "mweb": "mweb.co.za",
    "bigpond": "bigpond.com bigpond.net.au telstra.com",
    "optusnet": "optusnet.com.au",
    "xtra": "xtra.co.nz",
    "walla": "walla.com walla.co.il",
}

_PROVIDER_OF: Final[dict[str, str]] = {
    domain: name for name, text in _DOMAINS.items() for domain in text.split()
}

PROVIDERS: Final[tuple[str, ...]] = (*_DOMAINS, CORPORATE, OTHER)
"""Every value that `mailbox_provider` can return."""

REPORTS_COMPLAINTS: Final[frozenset[str]] = frozenset(
    {
        "yahoo",  # Complaint Feedback Loop, by DKIM domain
        "microsoft",  # Junk Mail Reporting Program, by sending address: outlook.com's consumer domains only
        "mailru",  # own loop in Postmaster Mail.ru
        # Feedback loops that Validity runs for the provider (Universal Feedback Loop, list of 2023):
        *(
            "comcast",
            "fastmail",
            "libero",
            "sfr",
            "laposte",
            "bluewin",
            "tim",
            "telenet",
            "telenor",
            "bigpond",
        ),
        *("terra", "uol", "virgin", "yandex", "ziggo"),
    }
)
"""Providers that tell senders who complained, so that their deliveries can be a denominator.

Gmail shows only a rate per day in Postmaster Tools, Apple nothing. Programmes for chosen senders
(GMX and WEB.DE through certification, Orange through Signal Spam) or ended ones (Cox) are left out: to count
such deliveries would make a complaint rate look smaller than it is.
"""

# Canonical domains are in ASCII already. A top-level name ends in a letter, an address literal does not.
_is_domain: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.[a-z0-9-]*[a-z](?<!-)").fullmatch


def mailbox_provider(recipient_domain: str) -> str:
    """Return the name in `PROVIDERS` for a canonical (lower-case, ASCII) recipient domain."""
    known = _PROVIDER_OF.get(recipient_domain)
    if known is not None:
        return known
    return CORPORATE if _is_domain(recipient_domain) else OTHER


def domains_of(provider: str) -> tuple[str, ...]:
    """Return the domains that the table knows for a provider; none for `corporate` and `other`."""
    return tuple(_DOMAINS.get(provider, "").split())
