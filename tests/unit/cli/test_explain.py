"""`postloop explain` answers on a screen, in JSON and with an exit code."""

import json
import shlex
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from postloop.cli.explain import answer_lines
from postloop.cli.main import app
from postloop.domain.diagnosis import explain, known_codes, languages


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments], env={"COLUMNS": "80"})


@pytest.mark.parametrize("lang", languages())
def test_every_answer_fits_a_screen_of_80_columns_and_ends_with_what_to_hand_to_support(lang: str) -> None:
    for one in known_codes(lang):
        answer = explain(one.name, lang)
        lines = [line.plain for line in answer_lines(answer, width=80)]
        assert len(lines) <= 28, one.name
        assert [line for line in lines if len(line) > 80 and "https://" not in line] == []
        assert " ".join(lines).endswith(answer.support), one.name


def test_what_is_known_is_exit_code_0() -> None:
    done = run("5.7.26")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "5.7.26  enhanced status code"
    assert "SPF, DKIM or DMARC does not pass." in done.stdout


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("450 4.7.1 Greylisted, please try again in 5 minutes", "greylisted", id="another-code"),
        pytest.param("552 5.1.1 The mailbox of this user is full", "mailbox_full", id="mis-coded"),
        pytest.param("the mailbox of this user is full", "mailbox_full", id="no-code"),
        pytest.param("FailedOperation.NotAuthenticatedSender: verify your domain first", None, id="a-code"),
        pytest.param("550 5.7.26", None, id="codes-alone"),
    ],
)
def test_a_servers_words_are_explained_by_what_they_mean_and_codes_by_their_own_entry(
    text: str, reason: str | None
) -> None:
    answer = json.loads(run(text, "--json").stdout)
    assert answer["known"]
    if reason is not None:
        assert answer["reason"] == reason
    else:
        assert answer["name"] == explain(text).name


_JSON = (
    '554 5.0.0 Error: transaction failed, blame it on the weather: ##SES-response-json: {"Response":{"Error":'
    '{"Code":"FailedOperation.NotAuthenticatedSender","Message":"The sender is not verified."},"RequestId":"r1"}}'
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(_JSON, "FailedOperation.NotAuthenticatedSender", id="in-a-reply"),
        pytest.param(
            "550 FailedOperation.EmailAddrInBlacklist The email address is blocklisted",
            "FailedOperation.EmailAddrInBlacklist",
            id="behind-a-code",
        ),
        pytest.param(
            "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume",
            "yahoo TSS04",
            id="a-providers-name",
        ),
        pytest.param(
            "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail - gsmtp",
            "gmail X.7.28",
            id="a-providers-status",
        ),
        pytest.param("WithOutPermission", "FailedOperation.WithOutPermission", id="without-its-class"),
        pytest.param("5.7.x", "X.7", id="any-detail"),
        pytest.param("5.7.*", "X.7", id="any-detail-with-a-star"),
        pytest.param("FailedOperation: attachment too large", "ses_smtp_attachment", id="too-large"),
        pytest.param("DMARC", "auth_failure", id="a-mechanism"),
        pytest.param("images", "images_not_shown", id="a-topic-in-short"),
    ],
)
def test_the_platforms_codes_and_a_providers_own_answer_whatever_stands_around_them(
    text: str, name: str
) -> None:
    assert json.loads(run(text, "--json").stdout)["name"] == name


def test_a_language_is_a_language_in_capitals_too() -> None:
    assert json.loads(run("5.7.26", "--json", "--lang", "ID").stdout)["lang"] == "id"


def test_what_is_not_known_is_answered_with_exit_code_1() -> None:
    done = run("5.7.99")
    assert (done.exit_code, done.stderr) == (1, "")
    assert "not known" in done.stdout.splitlines()[0]
    assert "Of its class, 5.7, this is known" in done.stdout


def test_a_text_needs_no_quotation_marks() -> None:
    assert run("550", "5.1.1", "no", "such", "user").stdout == run("550 5.1.1 no such user").stdout


def test_an_answer_in_another_language() -> None:
    done = run("user_unknown", "--lang", "id")
    assert "Kotak surat penerima tidak ada." in done.stdout
    assert done.stdout.split("\n")[-2].startswith("dan kode")


def test_a_language_that_there_is_not_is_exit_code_2() -> None:
    done = run("5.1.1", "--lang", "tlh")
    assert (done.exit_code, done.stderr) == (2, "error: no language 'tlh'; there is: en, id\n")


@pytest.mark.parametrize("arguments", [[], ["5.1.1", "--list"]], ids=["nothing", "both"])
def test_a_code_or_the_list_but_not_both_nor_neither(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stderr) == (2, "error: name one code or text to explain, or use --list\n")


def test_json_is_one_document_with_everything() -> None:
    done = run("FailedOperation.WithOutPermission", "--json")
    answer = json.loads(done.stdout)
    assert (answer["code"], answer["known"]) == ("FailedOperation.WithOutPermission", True)
    assert [cause["step"] for cause in answer["causes"]] == [
        *("template_only", "permission_keys", "sender_domain", "recipient_address", "template_data")
    ]
    assert all(cause["checks"] for cause in answer["causes"])


def test_an_unknown_code_as_json_is_exit_code_1_too() -> None:
    done = run("599", "--json")
    assert (done.exit_code, json.loads(done.stdout)["known"]) == (1, False)


def test_the_list_names_every_code_and_topic_on_a_line() -> None:
    lines = run("--list").stdout.splitlines()
    for one in known_codes():
        assert any(line.startswith(f"  {one.name} ") and line.endswith(one.meaning) for line in lines), (
            one.name
        )


def test_the_list_as_json_lines() -> None:
    listed = [json.loads(line) for line in run("--list", "--json", "--lang", "id").stdout.splitlines()]
    assert [one["name"] for one in listed] == [one.name for one in known_codes("id")]
    assert {"name", "family", "family_label", "side", "retry", "meaning"} == set(listed[0])


def test_square_brackets_of_a_reply_are_shown_as_they_are() -> None:
    assert run("[bold]nothing[/] known").stdout.startswith("[bold]nothing[/] known  not known\n")


def test_the_answers_in_the_documentation_are_those_that_are_given() -> None:
    page = (Path(__file__).parents[3] / "docs" / "diagnosis.md").read_text(encoding="utf-8")
    block = page.split("```console\n")[1].split("```")[0]
    asked = [part.split("\n", 1) for part in block.split("$ postloop explain ")[1:]]
    assert len(asked) == 2
    for command, answer in asked:
        assert run(*shlex.split(command)).stdout.rstrip() == answer.rstrip()
