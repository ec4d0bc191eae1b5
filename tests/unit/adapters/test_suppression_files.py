"""Suppression lists in the forms of others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from postloop.adapters.suppression_files import BadLine, Format, Listed, read_list, write_list

AT = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def entry(
    recipient: str = "anna@example.org", *, scope: str = "global", reason: str = "user_unknown"
) -> dict[str, Any]:
    return {
        "recipient": recipient,
        "scope": scope,
        "reason": reason,
        "starts_at": AT,
        "inserted_at": AT,
        "expires_at": None,
        "entry_id": "e",
        "recipient_form": "clear",
    }


def test_our_own_form_comes_back_as_it_went() -> None:
    text = "".join(
        write_list([entry('"a, b"@example.org'), entry(scope="shop.example", reason="complaint")], "csv")
    )

    assert list(read_list(text, "csv")) == [
        Listed(recipient='"a, b"@example.org', kind="bounce", scope="global", at=AT),
        Listed(recipient="anna@example.org", kind="complaint", scope="shop.example", at=AT),
    ]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        pytest.param(
            "aws", "anna@example.org,BOUNCE\n\nbob@example.org,COMPLAINT\n",
            [("anna@example.org", "bounce"), ("bob@example.org", "complaint")], id="lines",
        ),
        pytest.param(
            "aws", '{"emailAddress":"anna@example.org","reason":"COMPLAINT"}\n', [("anna@example.org", "complaint")],
            id="objects",
        ),
        pytest.param(
            "aws",
            json.dumps({"SuppressedDestinationSummaries": [
                {"EmailAddress": "anna@example.org", "Reason": "BOUNCE", "LastUpdateTime": "2026-03-01T10:00:00+00:00"}
            ]}),
            [("anna@example.org", "bounce")], id="what the command line tool prints",
        ),
        pytest.param(
            "tencent",
            json.dumps({"BlackList": [{"EmailAddress": "anna@example.org", "BounceTime": "2026-03-01 18:00:00"}]}),
            [("anna@example.org", "bounce")], id="tencent",
        ),
        pytest.param(
            "tencent",
            json.dumps({"Response": {"BlackList": [{"EmailAddress": "anna@example.org", "BounceTime": ""}]}}),
            [("anna@example.org", "bounce")], id="tencent, the whole response",
        ),
    ],
)  # fmt: skip
def test_the_forms_of_others_are_read(form: Format, text: str, expected: list[tuple[str, str]]) -> None:
    listed = list(read_list(text, form))
    assert [(line.recipient, line.kind) for line in listed if isinstance(line, Listed)] == expected
    assert all(line.at in (None, AT) for line in listed if isinstance(line, Listed))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("csv", "recipient,starts_at\n,\n"),
        ("csv", "recipient,starts_at\nanna@example.org,yesterday\n"),
        ("aws", "{not json\n"),
        ("tencent", "[]"),
        ("tencent", '{"BlackList": [{"BounceTime": ""}]}'),
    ],
)
def test_what_cannot_be_read_comes_with_its_reason(form: Format, text: str) -> None:
    (bad,) = read_list(text, form)
    assert isinstance(bad, BadLine)
    assert bad.reason


def test_other_services_get_no_entries_of_one_sender_domain() -> None:
    rows = [entry(), entry("bob@example.org", scope="shop.example")]
    assert "".join(write_list(rows, "aws")) == "anna@example.org,BOUNCE\n"
    assert json.loads("".join(write_list(rows, "tencent"))) == {
        "BlackList": [{"EmailAddress": "anna@example.org", "BounceTime": "2026-03-01 18:00:00"}],
        "TotalCount": 1,
    }
