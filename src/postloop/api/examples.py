"""Examples of answers for the OpenAPI document, which `openapi` puts in as they stand here."""

from __future__ import annotations

from typing import Any, Final

Example = dict[str, Any]


def example(value: Example, *, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route whose answer with this status has an example."""
    return {status: {"content": {"application/json": {"example": value}}}}


_MESSAGE: Final[Example] = {
    "message_id": "7c41@shop.example",
    "account_id": "acme",
    "sender_domain": "shop.example",
    "recipient": "anna@gmail.com",
    "mailbox_provider": "gmail",
    "mail_class": "transactional",
    "campaign_id": "",
    "template_id": "",
    "sent_at": "2026-01-02T12:00:00.000Z",
    "final_at": "2026-01-02T12:00:02.100Z",
    "verdict": "bounced_hard",
    "verdict_text": "It bounced for good, 2.1 s after it was sent.",
    "reason": "user_unknown",
    "reason_text": "Gmail knows no account of this name.",
    "side": "recipient",
    "side_text": "the recipient's",
    "retry": "never",
    "retry_text": "No: it would fail again.",
    "next_steps": [
        {"text": "Take the address from your list and ask the recipient for the right one.", "checks": []},
        {
            "text": "The address is blocked for every sender until 2026-01-16 12:00 UTC: mail "
            "to it is not sent. The recipient's mailbox does not exist. Lift the "
            "block only if the address is surely right (`POST /v1/blocklist/unblock`).",
            "checks": [],
        },
        {
            "text": "Recipient address: it is misspelled or not valid.",
            "checks": [
                "The address is spelled right: no blanks, one @, no typing error in the domain (gmial.com).",
                "The recipient confirms the address, if it came from a form or an old list.",
            ],
        },
        {
            "text": "The mailbox does not exist any more.",
            "checks": [
                "Take the address from the list after one such answer.",
                "If there are many: how old the list is and where it came from.",
            ],
        },
    ],
    "support": "Hand to support: the message_id, the time with its time zone, and the code 550 5.1.1.",
    "reactions": [],
    "blocked": [
        {
            "scope": "global",
            "reason": "user_unknown",
            "expires_at": "2026-01-16T12:00:02.000Z",
            "has_other_causes": False,
        }
    ],
    "timeline": [
        {
            "at": "2026-01-02T12:00:00.000Z",
            "since_sent_s": 0.0,
            "event_type": "send",
            "outcome": "accepted",
            "event_id": "s-1",
            "text": "The platform took it.",
            "said": "",
            "smtp_code": None,
            "enhanced_code": "",
            "reason": "",
            "remote_host": "",
        },
        {
            "at": "2026-01-02T12:00:02.100Z",
            "since_sent_s": 2.1,
            "event_type": "bounce",
            "outcome": "hard_bounce",
            "event_id": "b-1",
            "text": "Refused for good: Gmail knows no account of this name.",
            "said": "550 5.1.1 The email account that you tried to reach does not exist.",
            "smtp_code": 550,
            "enhanced_code": "5.1.1",
            "reason": "user_unknown",
            "remote_host": "gmail-smtp-in.l.google.com",
        },
    ],
    "sources": [
        "https://support.google.com/a/answer/3726730",
        "https://www.iana.org/assignments/smtp-enhanced-status-codes/",
    ],
    "is_complete": True,
}
MESSAGE: Final[Example] = {
    "message_id": _MESSAGE["message_id"],
    "recipients": [_MESSAGE],
    "is_complete": True,
}
MESSAGES: Final[Example] = {
    "recipient": _MESSAGE["recipient"],
    "messages": [_MESSAGE],
    "is_complete": True,
    "next_cursor": None,
}
_SUMMARY: Final[Example] = {
    "account_id": "acme",
    "sender_domain": "shop.example",
    "grade": "medium",
    "score": 71.2,
    "recommendation": "warn",
    "outcome_count": 18342,
    "complaint_rate": 0.0004,
    "complaint_low": 0.0002,
    "complaint_high": 0.0008,
    "hard_bounce_rate": 0.031,
    "hard_bounce_low": 0.0286,
    "hard_bounce_high": 0.0336,
    "refusal_rate": 0.002,
    "refusal_low": 0.0014,
    "refusal_high": 0.0028,
    "open_rate": 0.34,
    "at": "2026-01-02T12:00:00Z",
}
DOMAINS: Final[Example] = {
    "domains": [_SUMMARY],
    "next_cursor": "WzcxLjIsLTE4MzQyLCJhY21lIiwic2hvcC5leGFtcGxlIl0",
}


def _part(name: str, *, kind: str = "") -> Example:
    return {
        "name": name,
        "kind": kind,
        "score": 71.2,
        "grade": "medium",
        "outcome_count": 18342,
        "rates": {
            "complaints": {"rate": None, "low": 0.0, "high": 1.0},
            "hard_bounces": {"rate": 0.031, "low": 0.0286, "high": 0.0336},
            "refusals": {"rate": 0.002, "low": 0.0014, "high": 0.0028},
        },
    }


_HEALTH: Final[Example] = {
    "account_id": "acme",
    "sender_domain": "shop.example",
    "score": 71.2,
    "grade": "medium",
    "grade_by_counts": "medium",
    "recommendation": "warn",
    "judged_at": "2026-01-02T12:00:00Z",
    "factors": [
        {
            "name": "hard_bounces",
            "window": "recent",
            "rate": 0.031,
            "low": 0.0286,
            "high": 0.0336,
            "weight": 0.82,
            "verdict": "watch",
            "to_next_grade": 57,
        }
    ],
    "actions": [
        {
            "code": "remove_dead_addresses",
            "text": "Remove the addresses that bounced, and never mail blocked ones again.",
        }
    ],
    "rates": {
        "24h": {"hard_bounces": {"count": 19, "of_count": 612, "rate": 0.031, "low": 0.02, "high": 0.0479}}
    },
    "mailbox_providers": [_part("gmail")],
    "ip_pools": [_part("eu-shared", kind="shared")],
    "tencent": {
        "level": 4,
        "daily_cap": 5000,
        "outcome": "stay",
        "next_level": 4,
        "failed": [
            {
                "name": "volume",
                "value": 0.1188,
                "limit": 0.7,
                "is_upper": False,
                "distance_count": 2906,
                "text": "volume: 11.88 %, wanted from 70 %, 2,906 mails more",
            }
        ],
    },
    "opens": [
        {
            "mail_class": "transactional",
            "verdict": "healthy",
            "open_rate": 0.86,
            "raw_open_rate": 0.91,
            "blind_rate": 0.12,
            "text": "Healthy: people expect this mail, and 80 % or more of it is opened.",
        }
    ],
    "pools": [],
    "delivery_time": [
        {
            "mailbox_provider": "gmail",
            "delivered_count": 310,
            "p50_s": 2.1,
            "p95_s": 14.7,
            "delayed_rate": 0.004,
        }
    ],
    "days": [{"day": "2026-01-02", "delivered_count": 593, "hard_bounce_count": 19, "complaint_count": 0}],
    "series": {
        "hour": [
            {
                "at": "2026-01-02T11:00:00Z",
                "send_count": 120,
                "delivered_count": 116,
                "hard_bounce_count": 3,
                "soft_bounce_count": 1,
                "deferral_count": 2,
                "complaint_count": 0,
                "unsubscribe_count": 1,
                "human_open_count": 41,
            }
        ],
        "day": [
            {
                "at": "2026-01-02T00:00:00Z",
                "send_count": 120,
                "delivered_count": 116,
                "hard_bounce_count": 3,
                "soft_bounce_count": 1,
                "deferral_count": 2,
                "complaint_count": 0,
                "unsubscribe_count": 1,
                "human_open_count": 41,
            }
        ],
    },
}
DOMAIN: Final[Example] = {"sender_domain": "shop.example", "accounts": [_HEALTH], "is_complete": True}
STATUS: Final[Example] = {
    "at": "2026-01-02T12:00:00Z",
    "events": {"per_second": 1240.5, "points": [{"at": "2026-01-02T11:59:50Z", "per_second": 1238.0}]},
    "topics": [
        {
            "topic": "email.bounce",
            "last_occurred_at": "2026-01-02T11:59:58Z",
            "last_stored_at": "2026-01-02T11:59:59Z",
            "lag_s": 2.0,
        }
    ],
    "worst_domains": [_SUMMARY],
    "blocklist_changes": [
        {
            "at": "2026-01-02T11:58:00Z",
            "change": "inserted",
            "cause": "",
            "scope": "global",
            "recipient": "anna@gmail.com",
            "reason": "user_unknown",
            "expires_at": "2026-01-16T11:58:00Z",
        }
    ],
}
BLOCKED: Final[Example] = {
    "recipient": "anna@gmail.com",
    "blocked": True,
    "entries": [
        {
            "scope": "global",
            "recipient": "anna@gmail.com",
            "recipient_form": "clear",
            "is_active": True,
            "reason": "user_unknown",
            "text": "anna@gmail.com is blocked for every sender, until 2026-01-16T12:00:02.000Z. The domain has no "
            "such mailbox, or the person moved away.",
            "next_step": "make sure that the address is right and works again, then `POST /v1/blocklist/unblock`; "
            "another bounce blocks it anew.",
            "mailbox_provider": "gmail",
            "starts_at": "2026-01-02T12:00:02.000Z",
            "inserted_at": "2026-01-02T12:00:02.393Z",
            "expires_at": "2026-01-16T12:00:02.000Z",
            "entry_id": "b97039de-c810-5819-a505-32ec6e58c0c1",
            "smtp_text": "550 5.1.1 The email account that you tried to reach does not exist.",
            "rule": "text.user_unknown.noun_absent",
            "rule_version": "f4e6a1395c51",
            "source_event_ids": ["b-1"],
            "last_delivery_at": None,
            "own_cause": True,
            "blocked_by_others": False,
        }
    ],
    "history": [],
}
CHECKED: Final[Example] = {
    "results": [
        {"allowed": False, "scope": "global", "expires_at": "2026-01-16T12:00:02.000Z"},
        {"allowed": True, "scope": None, "expires_at": None},
    ],
    "blocked_count": 1,
}
UNBLOCKED: Final[Example] = {
    "outcome": "done",
    "code": "unblocked",
    "text": "The address is released.",
    "event_ids": ["0a4ed8a1-3c0c-5856-9d1b-befd6202effd"],
    "command_id": "a57cae0f-01d1-4150-afc3-cb0157d173cb",
}
ACCEPTED: Final[Example] = {"accepted_count": 3, "by_type": {"bounce": 2, "open": 1}}
_IN_ORDER: Final[Example] = {"ok": True, "reason": "", "since": "2026-01-02T11:00:00.000+00:00"}
READY: Final[Example] = {
    "status": "ready",
    "last_progress_s": 0.412,
    "components": {"clickhouse": _IN_ORDER, "kafka": _IN_ORDER, "blocklist": _IN_ORDER},
    "missing": [],
}
NOT_READY: Final[Example] = {
    "status": "live",
    "last_progress_s": 0.412,
    "components": {
        "clickhouse": {
            "ok": False,
            "reason": "ClickHouse at http://127.0.0.1:8123 cannot be reached: nothing listens there "
            "(connection refused)",
            "since": "2026-01-02T11:58:00.000+00:00",
        },
        "kafka": _IN_ORDER,
        "blocklist": _IN_ORDER,
    },
    "missing": ["clickhouse"],
}
