"""Who runs the server that answered, told from its host name: a hint for reading a reply, never a dimension.

A company's mail may be hosted by Google or Microsoft, or pass a filtering gateway first. The recipient's domain
does not show it, the MX host does. Rollups keep such mail under `corporate` all the same: the same company must
not change its provider between an event that names a host and one that does not. The hint is for whoever reads
the reply: Google's words mean at a company's domain what they mean at gmail.com.
"""

from typing import Final

# Host of the operator -> domains that its mail servers' names end in. Names in `providers.PROVIDERS` mean that
# provider; the others are gateways and hosters, which no recipient's domain shows. Sources: the operators' set-up
# pages for MX records.
_SERVERS: Final[dict[str, str]] = {
    "gmail": "google.com googlemail.com psmtp.com",
    # Microsoft 365: NAME.mail.protection.outlook.com, since 2024 also NAME.x-v1.mx.microsoft; consumers: olc.
    "microsoft": "protection.outlook.com mx.microsoft eo.outlook.com hotmail.com protection.partner.outlook.cn",
    "yahoo": "yahoodns.net mx.aol.com",
    "yahoojp": "mail.yahoo.co.jp",
    "apple": "mail.icloud.com apple.com",
    "qq": "qq.com",
    "netease": "163.com netease.com qiye163.com 126.com ym.163.com",
    "aliyun": "mxhichina.com aliyun.com alibaba.com",
    "sina": "sina.com.cn sina.net",
    "mailru": "mail.ru",
    "yandex": "yandex.net yandex.ru",
    "proton": "protonmail.ch proton.ch",
    "zoho": "zoho.com zoho.eu zoho.in zohomail.com",
    "fastmail": "messagingengine.com",
    "gmx": "gmx.net",
    "webde": "web.de",
    "tonline": "t-online.de",
    "comcast": "comcast.net",
    "orange": "orange.fr wanadoo.fr",
    "free": "free.fr proxad.net",
    "naver": "naver.com worksmobile.com",
    "proofpoint": "pphosted.com ppe-hosted.com gpphosted.com",
    "mimecast": "mimecast.com mimecast.co.za mimecast-offshore.com",
    "barracuda": "barracudanetworks.com cudamail.com",
    "cisco": "iphmx.com",
    "broadcom": "messagelabs.com",
    "trendmicro": "trendmicro.com trendmicro.eu trendmicro.co.jp",
    "sophos": "hydra.sophos.com reflexion.net",
    "forcepoint": "mailcontrol.com",
    "fortinet": "fortimailcloud.com fortimail.com",
    "hornetsecurity": "hornetsecurity.com antispameurope.com",
    "spamexperts": "antispamcloud.com spamexperts.com",
    "cloudflare": "mx.cloudflare.net",
    "amazon": "amazonaws.com awsapps.com",
    "ionos": "kundenserver.de ionos.com 1and1.com perfora.net",
    "ovh": "ovh.net",
    "godaddy": "secureserver.net",
    "rackspace": "emailsrvr.com",
    "strato": "rzone.de",
    "gandi": "gandi.net",
    "namecheap": "privateemail.com registrar-servers.com",
    "hostinger": "hostinger.com titan.email",
    "infomaniak": "infomaniak.ch",
    "aruba": "aruba.it",
}
_HOST_OF: Final[dict[str, str]] = {
    domain: host for host, domains in _SERVERS.items() for domain in domains.split()
}
_MAX_HOST_CHARS: Final = 255


def hosted_by(remote_host: str) -> str | None:
    """Return who runs the server with this host name: a provider's name, a gateway or hoster; None if unknown.

    Trailing dot, capitals, blanks and an address in brackets behind the name do not matter.
    """
    words = remote_host[:_MAX_HOST_CHARS].lower().split("[", 1)[0].split("(", 1)[0].split()
    name = words[0].strip(".") if words else ""
    while name:
        host = _HOST_OF.get(name)
        if host is not None:
            return host
        name = name.partition(".")[2]
    return None
