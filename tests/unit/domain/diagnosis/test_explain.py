"""What is answered to a code, a word, a text or a verdict."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postloop.domain.diagnosis import BounceVerdict, Explanation, advice, explain, explain_reason, known_codes
from postloop.domain.diagnosis.catalogue import catalogue
from postloop.domain.diagnosis.recognise import MAX_CHARS

LANGUAGES = st.sampled_from(["en", "id"])
NAMES = st.sampled_from([one.name for one in known_codes()])
STATUSES = st.builds("{}.{}.{}".format, st.sampled_from("245"), st.integers(0, 999), st.integers(0, 999))
# Texts that hold something like a code, in any surroundings.
TEXTS = st.lists(
    st.text(max_size=20) | NAMES | STATUSES | st.integers(0, 999).map(str) | st.just("FailedOperation.Foo"),
    max_size=8,
).map(" ".join)


def assert_whole(answer: Explanation) -> None:
    """Check what every answer has."""
    assert answer.meaning and answer.side_text and answer.retry_text
    assert "message_id" in answer.support
    assert "{" not in answer.meaning + answer.support
    assert all(cause.text and cause.checks for cause in answer.causes)
    assert all(source.startswith("https://") for source in answer.sources)


@given(TEXTS | st.text(), LANGUAGES)
@example("", "en")
@example("5.7.99 FailedOperation.{0} {code}", "id")
@example("\x00\ud800", "en")
def test_any_text_gets_a_whole_answer(text: str, lang: str) -> None:
    answer = explain(text, lang)
    assert_whole(answer)
    assert answer.lang == lang


@given(st.text(), st.lists(TEXTS, max_size=4), st.text(max_size=10), LANGUAGES)
def test_any_verdict_gets_a_whole_answer(reason: str, codes: list[str], provider: str, lang: str) -> None:
    assert_whole(explain(BounceVerdict(reason, tuple(codes), provider), lang))


@settings(max_examples=20)
@given(STATUSES)
def test_a_code_behind_more_text_than_a_reply_has_is_not_looked_for(code: str) -> None:
    assert not explain("x" * MAX_CHARS + " " + code).known


@given(
    STATUSES, st.sampled_from(["{}", " {} ", "550 {} text", "550-{}", "smtp;550 {} <a@b>", "(#{})", "<{}>"])
)
def test_an_enhanced_code_is_found_in_any_frame_and_handed_to_support(code: str, frame: str) -> None:
    answer = explain(frame.format(code))
    assert answer.code == code
    assert code in answer.support


@given(NAMES)
def test_the_answer_is_the_same_in_any_letters(name: str) -> None:
    assert explain(name.upper()).name == explain(name.lower()).name == name


@given(STATUSES)
def test_the_first_digit_tells_who_tries_again(code: str) -> None:
    answer = explain(code)
    if code[0] == "4":
        assert answer.retry in ("automatic", "automatic_after_fix")
    if code[0] == "2":
        assert (answer.side, answer.retry, answer.causes) == ("nobody", "unneeded", ())
    if code[0] == "5":
        assert answer.retry not in ("automatic", "automatic_after_fix", "unneeded") or answer.known


@pytest.mark.parametrize(
    ("query", "name", "code"),
    [
        pytest.param("5.7.99", "X.7", "5.7.99", id="subject"),
        pytest.param("550 5.7.99 no", "X.7", "5.7.99", id="subject-in-a-reply"),
        pytest.param("5.9.9", "5xx", "5.9.9", id="no-such-subject"),
        pytest.param("4.11.1", "4xx", "4.11.1", id="no-such-subject-for-now"),
        pytest.param("599", "5xx", "599", id="reply"),
        pytest.param("499 odd", "4xx", "499", id="reply-for-now"),
        pytest.param(
            "FailedOperation.WrongContent", "FailedOperation", "FailedOperation.WrongContent", id="api"
        ),
        pytest.param("AuthFailure.Foo", "AuthFailure", "AuthFailure.Foo", id="api-keys"),
        pytest.param(
            "InvalidParameterValue.Foo", "InvalidParameterValue", "InvalidParameterValue.Foo", id="longer"
        ),
        pytest.param("SendStatus 1099", "SendStatus", "SendStatus 1099", id="send-status"),
        pytest.param("hello", "", "", id="nothing"),
        pytest.param("", "", "", id="empty"),
        pytest.param("10.5.1.1", "", "", id="end-of-an-ip-address"),
        pytest.param("5.1.1.25", "", "", id="ip-address"),
        pytest.param("5.1.1234", "", "", id="longer-number"),
        pytest.param("v5.1.1", "", "", id="version"),
        pytest.param("9999", "", "", id="number"),
        pytest.param("2.1.99", "2xx", "2.1.99", id="success"),
    ],
)
def test_what_is_not_known_is_said_to_be_so_with_its_nearest_class(query: str, name: str, code: str) -> None:
    answer = explain(query)
    assert (answer.known, answer.name, answer.code) == (False, name, code)
    assert "not known" in answer.meaning or "Nothing is known" in answer.meaning


def test_the_nearest_class_is_named_as_it_is_written() -> None:
    assert "Of its class, 5.7, this is known: security or policy" in explain("5.7.99").meaning


def test_a_misspelled_code_is_told_what_it_may_be() -> None:
    assert "FailedOperation.WrongContentJson" in explain("FailedOperation.WrongContent").similar
    assert "mailbox_full" in explain("mailbox_ful").similar


SES_JSON = (
    'transaction failed, blame it on the weather: ##SES-response-json: {"Code":"FailedOperation.IllegalURL.x'
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("550 5.7.1 [HM08] refused by local policy", "apple HM08", id="name-over-vague-code"),
        pytest.param("421 4.7.0 [TSS04] put off for now", "yahoo TSS04", id="name-over-provider"),
        pytest.param("421 4.7.0 [TS07] put off for now", "yahoo TS*", id="name-of-a-family"),
        pytest.param("550 5.7.1 on our block list (S3150). [x.outlook.com]", "microsoft S3150", id="number"),
        pytest.param("451 4.7.500 Server busy (S99999) [outlook.com]", "microsoft 4.7.500-699", id="range"),
        pytest.param("550-5.7.30 DKIM did not pass - gsmtp", "gmail X.7.30", id="provider-speaks"),
        pytest.param("550 5.7.30 next host offers no REQUIRETLS", "X.7.30", id="nobody-speaks"),
        pytest.param("550 5.7.515 access denied", "microsoft 5.7.515", id="one-provider-has-it"),
        pytest.param("550 5.0.0 see 5.1.1", "X.1.1", id="telling-over-vague"),
        pytest.param("554 5.4.7 expired (last: 452 4.2.2 no room)", "X.2.2", id="inner-over-expiry"),
        pytest.param("550 no such user", "550", id="reply-alone"),
        pytest.param("host mx.example said: 552 no", "552", id="reply-behind-a-report"),
        pytest.param(f"554 5.0.0 Error: {SES_JSON}", "FailedOperation.IllegalURL", id="api-code-in-a-reply"),
        pytest.param(
            "554 5.0.0 Error: smtp: too longer line in input stream", "ses_smtp_line_too_long", id="ses"
        ),
        pytest.param(
            "FailedOperation: msg.From is null", "ses_smtp_field_missing", id="ses-words-over-class"
        ),
        pytest.param("550 Ip frequency limited. service.mail.qq.com", "qq IP frequency limited", id="qq"),
        pytest.param("550 Mailbox not found", "550", id="words-of-anybody"),
        pytest.param(
            "550 Mailbox not found. mx3.qq.com", "qq Mailbox not found", id="words-of-a-known-provider"
        ),
        pytest.param("reason mailbox_full here", "mailbox_full", id="reason"),
        pytest.param("the images are not shown", "images_not_shown", id="topic-in-words"),
        pytest.param("gambar di email tidak muncul", "images_not_shown", id="topic-in-indonesian"),
        pytest.param("email saya terlambat", "delayed", id="delay-in-indonesian"),
        pytest.param("1007", "SendStatus 1007", id="send-status"),
        pytest.param("DeliverStatus=8", "DeliverStatus 8", id="deliver-status"),
        pytest.param("5.7", "X.7", id="class"),
    ],
)
def test_a_text_is_answered_by_what_tells_most(text: str, name: str) -> None:
    assert explain(text).name == name


def test_what_a_provider_means_by_a_code_of_policy_is_told_beside_the_standard() -> None:
    assert [other.provider for other in explain("5.7.30").elsewhere] == ["gmail"]
    assert [other.provider for other in explain("5.1.10").elsewhere] == ["microsoft"]
    assert explain("5.1.1").elsewhere == ()


def test_images_that_are_not_shown_are_looked_for_at_url_program_and_recipient() -> None:
    answer = explain("images_not_shown")
    assert [cause.name for cause in answer.causes] == ["image_url", "image_client", "image_recipient"]
    assert "URL" in answer.support


def test_a_verdict_is_explained_by_its_reason() -> None:
    answer = explain(BounceVerdict("mailbox_full"))
    assert (answer.name, answer.side, answer.retry) == ("mailbox_full", "recipient", "later")


def test_a_code_of_the_same_reason_makes_a_verdict_more_exact() -> None:
    plain = explain_reason("auth_failure")
    exact = explain_reason("auth_failure", codes=["550", "5.7.26"], provider="gmail")
    assert exact.meaning != plain.meaning
    assert "https://support.google.com/a/answer/3726730" in exact.sources
    assert exact.support.endswith("550 5.7.26.")


def test_a_code_of_another_reason_was_overruled_and_is_only_handed_over() -> None:
    plain, overruled = explain_reason("mailbox_full"), explain_reason("mailbox_full", codes=["5.1.1"])
    assert (overruled.meaning, overruled.causes) == (plain.meaning, plain.causes)
    assert "5.1.1" in overruled.support


@pytest.mark.parametrize(
    ("reason", "final", "deferred"),
    [
        ("mailbox_full", "later", "automatic"),
        ("auth_failure", "after_fix", "automatic_after_fix"),
        ("user_unknown", "never", "automatic"),
    ],
)
def test_deferred_mail_is_tried_again_by_the_server(reason: str, final: str, deferred: str) -> None:
    assert explain(BounceVerdict(reason, ("4.0.0",))).retry == final
    assert explain(BounceVerdict(reason, ("4.0.0",), deferred=True)).retry == deferred


def test_a_reason_that_there_is_not_leaves_the_answer_to_the_codes() -> None:
    assert explain(BounceVerdict("later_reason", ("550", "5.1.1"))).name == "X.1.1"
    assert not explain(BounceVerdict("later_reason")).known


@pytest.mark.parametrize("lang", ["en", "id"])
def test_every_reason_has_a_sentence_and_a_next_step(lang: str) -> None:
    for reason in (entry.key for entry in catalogue().family("reason")):
        found = advice(reason, lang)
        assert (found.reason, found.sentence) == (reason, explain(reason, lang).meaning)
        assert found.next_step.endswith(".")


@given(st.text())
def test_advice_on_another_word_is_that_on_unknown(reason: str) -> None:
    if ("reason", reason) not in catalogue().entries:
        assert advice(reason) == advice("unknown")
