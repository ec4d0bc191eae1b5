"""The thresholds of the incident guard, as data, with the reason for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    """When hard bounces of a provider are held, and until when.

    The two mistakes cost unequally. Without a hold an outage blocks living people for 14 days; a hold too much
    costs a second bounce of each address that is really gone. So the guard may start on little, but must not be
    started at will: the spread over accounts and domains is what stands between it and one customer's dead list.

    How many false incidents noise makes. Were outcomes independent, a window would pass the tail test with a
    probability of at most `window_tail`, and a year has 525,600 windows: at most 525,600 x 1e-12 = 5e-7 incidents.
    Outcomes come in clumps, though (a message to several dead addresses, a list sorted by age). Clumps of two leave
    half as many independent ones, which takes the root of the tail: 525,600 x 1e-6 = 0.5 a provider and year, before
    the spread is asked for. That is why the tail is the square of the 1e-6 that independent outcomes would need; it
    also pays for looking several times a minute. Simulated years of clumps of one and two: no window; of three: five
    at most.

    Larger clumps belong to one account, and the spread answers those. Where a share q of the accounts mails bad
    lists at any time, an incident needs `min_part_share` of those that mail much, and three at least, to be among
    them at once. With q = 0.03 and another mixture every hour that is worst for four accounts, 8,760 x
    P(Bin(4, 0.03) >= 3) = 0.9 a year (three: 0.2; five: 0.03; more: 0.1 at most), if five domains and `min_rate`
    agree. Simulated, 100 years: 0.97, 0.26, 0.02, 0.2 for six, none for ten and forty.

    Attributes:
        window_minutes: The rate is judged over so long: an outage at 0.9 passes `min_rate` with its second minute,
            and a burst of one minute is diluted.
        late_minutes: Windows that ended so long before the newest minute are judged again, for late pulses.
        memory_minutes: Minutes kept; what is later is not counted. Also how far back a start is estimated.
        min_outcome_count: Fewer outcomes in a window decide nothing.
        min_hard_count: Fewer hard bounces in a window are not worth a hold: so few can be released by hand.
        min_rate: A window below this is no outage, however unusual: bad lists of honest senders reach 0.05 to
            0.10. What refuses less than one mail in five is left to `postloop blocklist rollback`.
        odds_factor: The odds (rate / (1 - rate)) of a window are at least so many times the upper bound's of the
            baseline. For small rates that is the same factor on the rate; a high rate (0.4) still has a limit that
            can be reached (0.67).
        bound_z: Of Wilson's upper bound of the baseline: 3 means that a baseline is underestimated with a
            probability of 0.0013, and then by little.
        window_tail: The window would be so improbable by chance, see above.
        part_tail: The same for a single account, domain or minute, of which several have to agree.
        min_part_hard_count: Fewer hard bounces of an account, domain or minute are no excess of its own.
        telling_outcome_count: With so many outcomes an account (domain) without an excess speaks against an outage:
            of those with 20, nine in ten show an excess when the rate is 0.3 and 0.02 was usual.
        min_part_share: Of the accounts (domains) that can tell, at least so many show the excess. An outage hits
            everybody; who wants to feign one needs most of the accounts that mail to the provider, not three.
        min_account_count: At least so many accounts with an excess of their own.
        min_domain_count: At least so many sender domains with an excess of their own.
        max_part_count: Accounts, and domains, kept of a minute: those with most mail. The others count only in sum.
        small_share: Accounts (domains) with too little mail to tell must together be so far on the way from the
            usual rate to the limit. Not all the way: those of them that were hit most show an excess of their own.
        start_share: A minute whose rate is so far on that way belongs to the run of an outage that was found: its
            first minute is hit in part, and some outages grow. A minute too much releases few.
        calm_share: The rate is back when it is less far on that way: apart from the limit, or it would flap.
        calm_minutes: The rate has to be back for so long. Outages come back: Gmail's did, twice in two days.
        max_hold_ms: A hold ends after this by the clock, from its detection. Gmail's outages of 14 and 15 December
            2020 lasted 2 h 22 min and 4 h 19 min.
        half_life_ms: Of what is known of the baseline. A day, so that each hour of the day has its part in it.
        prior_outcome_count: Outcomes that a provider is believed to have had before the first was seen.
        prior_hard_count: Hard bounces among them: 0.05, where a sender's grade begins to suffer. With nothing else
            known the limit is 0.36.
        max_ahead_ms: Minutes that begin later than this after now are not counted: a sender's clock is wrong.
    """

    window_minutes: int = 5
    late_minutes: int = 5
    memory_minutes: int = 30
    min_outcome_count: int = 50
    min_hard_count: int = 20
    min_rate: float = 0.2
    odds_factor: float = 3.0
    bound_z: float = 3.0
    window_tail: float = 1e-12
    part_tail: float = 1e-2
    min_part_hard_count: int = 3
    telling_outcome_count: int = 20
    min_part_share: float = 2 / 3
    min_account_count: int = 3
    min_domain_count: int = 5
    max_part_count: int = 64
    small_share: float = 0.25
    start_share: float = 0.25
    calm_share: float = 0.5
    calm_minutes: int = 10
    max_hold_ms: int = 6 * _HOUR_MS
    half_life_ms: int = 24 * _HOUR_MS
    prior_outcome_count: int = 100
    prior_hard_count: int = 5
    max_ahead_ms: int = 60_000

    def __post_init__(self) -> None:
        judged = max(self.window_minutes + self.late_minutes, self.calm_minutes + 1)
        if self.memory_minutes < judged:
            raise ValueError(f"memory_minutes is {judged} at least, what is judged: {self.memory_minutes}")


DEFAULT_GUARD_POLICY: Final = GuardPolicy()
