"""Who may not be mailed, why, and until when: the rules, without input or output."""

from postloop.domain.blocklist.changes import Answered, Blocked, Change, Released
from postloop.domain.blocklist.decide import decide
from postloop.domain.blocklist.entry import Block, Delivery, Entry, Release, ReleaseCause, Told
from postloop.domain.blocklist.memory import due_ms
from postloop.domain.blocklist.outage import taken_back
from postloop.domain.blocklist.policy import DEFAULT_POLICY, Policy
from postloop.domain.blocklist.signals import (
    GLOBAL,
    HOLD_COMMANDS,
    Delivered,
    Evidence,
    Ordered,
    Reported,
    Signal,
    TimePassed,
    bounce_evidence,
)
from postloop.domain.blocklist.standing import standing

__all__ = [
    "DEFAULT_POLICY",
    "GLOBAL",
    "HOLD_COMMANDS",
    "Answered",
    "Block",
    "Blocked",
    "Change",
    "Delivered",
    "Delivery",
    "Entry",
    "Evidence",
    "Ordered",
    "Policy",
    "Release",
    "ReleaseCause",
    "Released",
    "Reported",
    "Signal",
    "TimePassed",
    "Told",
    "bounce_evidence",
    "decide",
    "due_ms",
    "standing",
    "taken_back",
]
