"""`postloop classify`: one reply for a person, a stream for a program."""

import json
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from postloop.cli.classify import bounce_of
from postloop.cli.main import app
from postloop.domain.bounce import RULES_VERSION, Bounce, classify


def run(*arguments: str, given: str | bytes = "") -> Result:
    return CliRunner().invoke(app, ["classify", *arguments], input=given, env={"COLUMNS": "200"})


def answers(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_one_reply_is_explained_to_a_person() -> None:
    done = run("550 5.1.1 <ann@example.com>: user unknown", "--command", "RCPT")
    assert done.exit_code == 0
    for said in (
        "user_unknown",
        "no such mailbox",
        "given up at once",
        "recipient",
        "text.user_unknown.noun_absent",
    ):
        assert said in done.stdout


def test_one_reply_as_json_says_which_rules_decided() -> None:
    done = run("552 5.2.2 mailbox full", "--json")
    verdict = json.loads(done.stdout)
    assert (verdict["reason"], verdict["hard"], verdict["fault"]) == ("mailbox_full", False, "recipient")
    assert verdict["rules_version"] == RULES_VERSION


@pytest.mark.parametrize(
    ("options", "reason", "hard"),
    [
        pytest.param([], "user_unknown", True, id="words alone"),
        pytest.param(["--action", "delayed"], "user_unknown", False, id="still tried"),
        pytest.param(["--command", "MAIL"], "sender_blocked", False, id="said to MAIL"),
        pytest.param(["--host", "mx.corp.example"], "recipient_filtered", False, id="no proof of RCPT"),
        pytest.param(["--host", "mx.corp.example", "--command", "RCPT"], "user_unknown", True, id="proof"),
        pytest.param(
            ["--domain", "ya.ru", "--host", "mx.corp.example"], "user_unknown", True, id="a known domain"
        ),
    ],
)
def test_host_domain_command_and_action_count(options: list[str], reason: str, hard: bool) -> None:
    verdict = json.loads(run("550 no such user", "--json", *options).stdout)
    assert (verdict["reason"], verdict["hard"]) == (reason, hard)


def test_lines_are_answered_in_order_with_their_ids() -> None:
    lines = [
        {
            "id": "a",
            "smtp_code": 550,
            "enhanced_code": "5.1.1",
            "diagnostic": "user unknown",
            "unheard_of": 1,
        },
        {"id": 2, "smtp_code": None, "diagnostic": "452 4.2.2 mailbox full", "remote_host": None},
        {"diagnostic": None},
    ]
    done = run("--jsonl", given="\ufeff" + "\n\n".join(map(json.dumps, lines)))
    assert done.exit_code == 0
    assert [(a["id"], a["reason"], a["hard"]) for a in answers(done)] == [
        ("a", "user_unknown", True),
        (2, "mailbox_full", False),
        (None, "unknown", False),
    ]
    assert set(answers(done)[0]) == {"id", "reason", "hard", "fault", "rule", "confidence"}


def test_a_line_that_is_no_object_is_named_and_the_others_are_answered() -> None:
    done = run("--jsonl", given=b'{"id":1}\n[2]\n{"id":3}\n{"id":\n"\xff"\n')
    assert done.exit_code == 1
    assert [a["id"] for a in answers(done)] == [1, 3]
    assert done.stderr.splitlines()[0] == "line 2: a JSON object is needed, not list"
    assert done.stderr.splitlines()[1].startswith("line 4: not JSON: ")
    assert done.stderr.splitlines()[2] == "line 5: not UTF-8"


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e400", "1" * 5000],
    ids=["nan", "inf", "-inf", "1e400", "long"],
)
def test_what_is_no_number_of_json_is_named_and_never_written(number: str) -> None:
    done = run("--jsonl", given=f'{{"id":{number}}}\n{{"id":2}}\n')
    assert (done.exit_code, [a["id"] for a in answers(done)]) == (1, [2])
    assert done.stderr == "line 1: not JSON: a number that is none, or is too large\n"


def test_an_action_that_there_is_not_is_refused_and_a_deferred_reply_is_never_hard() -> None:
    assert run("550 5.1.1 user unknown", "--action", "gone").exit_code == 2
    assert json.loads(run("550 5.1.1 user unknown", "--action", "deferred", "--json").stdout)["hard"] is False


@pytest.mark.parametrize("arguments", [[], ["550 no", "--jsonl"]], ids=["nothing", "both"])
def test_a_reply_or_lines_are_needed_and_not_both(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stderr) == (2, "error: give either a REPLY or --jsonl\n")


@pytest.mark.parametrize(
    ("smtp_code", "read"),
    [
        (550, 550),
        ("550", 550),
        (" 550 ", 550),
        (" " * 20 + "550", 550),
        (450.0, 450),
        ("450-", 450),
        ("450 4.2.2", 450),
        (None, 0),
        (True, 0),
        (5.5, 0),
        ("5xx", 0),
        ([550], 0),
        ("9" * 5000, 0),
    ],
)
def test_a_reply_code_is_read_from_a_number_or_a_text(smtp_code: object, read: int) -> None:
    found = bounce_of({"smtp_code": smtp_code}).smtp_code
    assert found == read or not 200 <= (found or 0) <= 599


def test_a_field_of_another_type_counts_as_missing() -> None:
    assert bounce_of({"diagnostic": ["550"], "remote_host": 7, "action": {}}) == Bounce()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=30)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["id", "smtp_code", "diagnostic", "action"]), json_values), max_size=4
    )
)
def test_every_object_has_the_answer_of_the_classifier(lines: list[dict[str, Any]]) -> None:
    done = run("--jsonl", given="\n".join(map(json.dumps, lines)))
    assert done.exit_code == 0
    expected = [classify(bounce_of(line)) for line in lines]
    assert [(a["id"], a["reason"], a["rule"]) for a in answers(done)] == [
        (line.get("id"), verdict.reason, verdict.rule) for line, verdict in zip(lines, expected, strict=True)
    ]
