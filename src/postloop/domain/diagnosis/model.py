"""What an explanation consists of."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Side = Literal["sender", "recipient", "platform", "infrastructure", "nobody", "unknown"]
Retry = Literal[
    "never",
    "unwanted",
    "after_fix",
    "after_expiry",
    "automatic",
    "automatic_after_fix",
    "backoff",
    "ten_minutes",
    "one_hour",
    "next_day",
    "later",
    "once",
    "unneeded",
]
Step = Literal[
    "permission_keys",
    "sender_domain",
    "recipient_address",
    "template_data",
    "template_only",
    "remote_answer",
    "corporate_filter",
    "images",
]

STEPS: Final[tuple[Step, ...]] = get_args(Step)
"""The order in which a support engineer looks for the cause of a failed message."""
SEND_STEPS: Final[tuple[Step, ...]] = STEPS[: STEPS.index("template_only") + 1]
"""The steps at which a message stops before it leaves the platform; each has a cause of the same name."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that may be behind a failure, and what to look at to find out.

    `likely` is False for the causes that follow only because support checks them next.
    """

    name: str
    step: Step
    text: str
    checks: tuple[str, ...]
    likely: bool = True


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What a mailbox provider means by the same code."""

    provider: str
    label: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why mail failed, as far as a code, a word or a text tells.

    `known` is False where only the class of a code is known, or nothing; `name` is then that of the nearest
    class, "" for nothing. `code` is the code as it stood in the query, "" where a word was asked for. `retry` is for
    programs, `retry_text` for people. `causes` come in the order in which to check them, the likely ones first.
    `support` is the closing line: what to hand to support.
    """

    query: str
    lang: str
    name: str
    code: str
    family: str
    family_label: str
    known: bool
    meaning: str
    side: Side
    side_text: str
    retry: Retry
    retry_text: str
    causes: tuple[Cause, ...]
    sources: tuple[str, ...]
    support: str
    reason: str = ""
    elsewhere: tuple[Elsewhere, ...] = ()
    similar: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BounceVerdict:
    """What a classifier says of a bounce: its reason, the codes that came with it, who answered.

    `codes` are reply codes, enhanced statuses or names such as TSS04; `provider` is a mailbox provider's name;
    `deferred` mail is still retried.
    """

    reason: str
    codes: tuple[str, ...] = ()
    provider: str = ""
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence on a bounce reason, and one next step."""

    reason: str
    sentence: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A code or word that can be explained, with its meaning in a sentence."""

    name: str
    family: str
    family_label: str
    side: Side
    retry: Retry
    meaning: str
