"""Who sends and who receives: accounts, sender domains, the streams of mail they send, and addresses."""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from postloop.simulation.mailboxes import MAILBOXES, Mailbox
from postloop.simulation.plan import Plan

_ZIPF_EXPONENT: Final = 1.1
_SUBDOMAINS: Final = ("mail", "news", "notify", "em", "billing", "hello")
_FIRST_WORDS: Final = (
    "bright",
    "quiet",
    "north",
    "river",
    "stone",
    "amber",
    "lucky",
    "paper",
    "green",
    "silver",
    "maple",
    "cloud",
)
_SECOND_WORDS: Final = (
    "harbor",
    "market",
    "studio",
    "garden",
    "works",
    "travel",
    "bank",
    "books",
    "coffee",
    "sports",
    "school",
    "clinic",
)
_FIRST_NAMES: Final = """anna ben carla david elena felix grace hannah ivan julia karl lena maria noah
    olga paul quinn rosa simon tina ugo vera walter xenia yara zoe wei mei haruto aiko priya arjun fatima omar
    sofia mateo"""
_LAST_NAMES: Final = """adams bauer costa dubois evans fischer garcia hansen ito jones kowalski lopez meyer
    nguyen olsen petrov quist rossi smith tanaka ueda vogel wang xu young zhang silva moreau khan patel
    cohen novak"""
_MAIL_CLASSES: Final = ("transactional", "notification", "marketing", "unknown")
# The share of delivered messages that people open: sign-up mail nearly always, newsletters it depends.
_OPEN_RATES: Final = {
    "transactional": (0.82, 0.93),
    "notification": (0.45, 0.7),
    "marketing": (0.18, 0.62),
    "unknown": (0.3, 0.6),
}
_OPEN_MEDIAN_S: Final = {"transactional": 25.0, "notification": 240.0, "marketing": 600.0, "unknown": 300.0}
# Malformed addresses happen in lists that nobody checked; %d makes them differ. The provider is that of the
# text behind the last @, `other` where that is no domain.
MALFORMED_ADDRESSES: Final = (
    ("john..doe%d@gmail.com", "gmail"),
    ("anna%d@@yahoo.com", "yahoo"),
    (".leading%d@gmx.de", "gmx"),
    ("mike%d@gmail,com", "other"),
    ("info%d@", "other"),
    ("undisclosed recipients %d", "other"),
    ("two words%d@northfield-foods.example", "corporate"),
)
# Valid addresses that look odd: other scripts, capitals, quotes, tags.
UNUSUAL_ADDRESSES: Final = (
    ("jürgen.groß%d@blauwasser-küche.example", "corporate"),
    ("ольга%d@почта-пример.example", "corporate"),
    ("佐藤%d@例え-商店.example", "corporate"),
    ('"odd local %d"@acme-tools.example', "corporate"),
    ("O'Brien+news%d@Gmail.com", "gmail"),
    ("MARIA.%d@HOTMAIL.COM", "microsoft"),
)


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign and its template; either may be empty."""

    campaign_id: str
    template_id: str


@dataclass(frozen=True, slots=True)
class Stream:
    """Mail of one kind of one sender domain: the unit that has habits.

    Attributes:
        number: Place in the world's list.
        offset_minutes: The zone in which the producer writes its times.
        tells_sent_at: Whether its events say when the message was sent.
        json_head: The fields that all its events share, as JSON text.
    """

    number: int
    account_id: str
    sender_domain: str
    mail_class: str
    ip_pool: str
    ip_pool_kind: str
    source_ip: str
    offset_minutes: int
    tells_sent_at: bool
    open_rate: float
    open_median_s: float
    complaint_rate: float
    unsubscribe_rate: float
    reject_rate: float
    bounce_factor: float
    campaigns: tuple[Campaign, ...]
    json_head: str = field(default="", repr=False)


class World:
    """Everything that stays the same during a simulation."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        self.streams: list[Stream] = []
        weights: list[float] = []
        for rank in range(plan.domains):
            share = 1 / (rank + 1) ** _ZIPF_EXPONENT
            # Every account has a domain; a few share one: reputation belongs to the pair.
            number = rank if rank < plan.accounts else rng.randrange(plan.accounts)
            name = _domain_name(rank if rank % 17 else max(rank - 1, 0))
            for stream, part in _streams_of(plan.account(number), name, rng, first=len(self.streams)):
                self.streams.append(stream)
                weights.append(share * part)
        self._first_names, self._last_names = _FIRST_NAMES.split(), _LAST_NAMES.split()
        self.accounts = sorted({stream.account_id for stream in self.streams})
        self._stream_steps = _steps(weights)
        self._mailbox_steps = _steps([mailbox.share for mailbox in MAILBOXES])
        self._population = max(200, plan.events // 3)

    def stream(self, draw: float) -> Stream:
        """Return a stream by Zipf's law; `draw` is in [0, 1)."""
        return self.streams[bisect_right(self._stream_steps, draw)]

    def mailbox(self, draw: float) -> int:
        """Return the place in MAILBOXES of a provider, as often as it has readers; `draw` is in [0, 1)."""
        return bisect_right(self._mailbox_steps, draw)

    def recipient(self, mailbox: Mailbox, draw: float) -> tuple[int, str]:
        """Return number and address of a reader; a small `draw` belongs to readers who get much mail."""
        number = int(draw * draw * self._population)
        firsts, lasts = self._first_names, self._last_names
        first = firsts[number % len(firsts)]
        last = lasts[number // len(firsts) % len(lasts)]
        domain = mailbox.domains[number % len(mailbox.domains)]
        return number, f"{first}.{last}{number // 1000}@{domain}"


def _steps(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    steps = [step / total for step in accumulate(weights)]
    return steps[:-1]  # whatever rounding does to the last step, a draw ends in the last place


def _domain_name(rank: int) -> str:
    first = _FIRST_WORDS[rank % len(_FIRST_WORDS)]
    second = _SECOND_WORDS[rank // len(_FIRST_WORDS) % len(_SECOND_WORDS)]
    number = rank // (len(_FIRST_WORDS) * len(_SECOND_WORDS))
    return f"{_SUBDOMAINS[rank % len(_SUBDOMAINS)]}.{first}{second}{number or ''}.example"


def _streams_of(
    account_id: str, sender_domain: str, rng: random.Random, *, first: int
) -> list[tuple[Stream, float]]:
    """Return one to three streams of a domain, each with its share of the domain's mail."""
    classes = rng.sample(_MAIL_CLASSES[:3], rng.choice((1, 2, 2, 3)))
    if rng.random() < 0.08:
        classes.append("unknown")
    offset = rng.choice((0, 0, 0, 0, 330, -300))
    tells_sent_at = rng.random() < 0.93
    made = []
    for place, mail_class in enumerate(classes):
        stream = _stream(
            rng,
            number=first + place,
            account_id=account_id,
            sender_domain=sender_domain,
            mail_class=mail_class,
            offset_minutes=offset,
            tells_sent_at=tells_sent_at,
        )
        made.append((stream, rng.uniform(0.2, 1.0) * (3.0 if mail_class == "marketing" else 1.0)))
    return made


def _stream(
    rng: random.Random,
    *,
    number: int,
    account_id: str,
    sender_domain: str,
    mail_class: str,
    offset_minutes: int,
    tells_sent_at: bool,
) -> Stream:
    pool, kind = rng.choice(
        (
            ("shared-eu-1", "shared"),
            ("shared-us-1", "shared"),
            (f"dedicated-{number}", "dedicated"),
            ("", "unknown"),
        )
    )
    is_marketing = mail_class == "marketing"
    # Most senders behave, a few do not: their complaints and bounces are what the product is there to find.
    careless = 8.0 if rng.random() < 0.1 else 1.0
    known = {"account_id": account_id, "sender_domain": sender_domain}
    optional = {"mail_class": mail_class, "ip_pool": pool, "ip_pool_kind": kind}
    said = {name: value for name, value in optional.items() if value not in ("", "unknown")}
    return Stream(
        number=number,
        account_id=account_id,
        sender_domain=sender_domain,
        mail_class=mail_class,
        ip_pool=pool,
        ip_pool_kind=kind,
        source_ip=f"198.51.100.{rng.randrange(1, 255)}",
        offset_minutes=offset_minutes,
        tells_sent_at=tells_sent_at,
        open_rate=rng.uniform(*_OPEN_RATES[mail_class]),
        open_median_s=_OPEN_MEDIAN_S[mail_class],
        complaint_rate=careless * (0.0015 if is_marketing else 0.0004),
        unsubscribe_rate=0.006 if is_marketing else 0.0005,
        reject_rate=0.03 if rng.random() < 0.15 else 0.006,
        bounce_factor=careless**0.7,
        campaigns=_campaigns(rng, number, mail_class),
        json_head=json.dumps({**known, **said}, separators=(",", ":"))[1:-1],
    )


def _campaigns(rng: random.Random, number: int, mail_class: str) -> tuple[Campaign, ...]:
    if mail_class == "marketing":
        return tuple(
            Campaign(f"spring-{number}-{i}", f"newsletter-{number}-{i % 2}")
            for i in range(rng.randrange(1, 5))
        )
    if mail_class == "transactional":
        return tuple(Campaign("", f"{name}-{number}") for name in ("verify", "receipt", "reset"))
    return (Campaign("", ""), Campaign("", f"digest-{number}"))
