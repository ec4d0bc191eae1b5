"""Why the platform rejected a send: the cause it speaks for first, then the order of support."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postloop.domain.diagnosis import cause_of_send, diagnose_send, known_codes
from postloop.domain.diagnosis.model import SEND_STEPS, Step

WORDS = st.sampled_from([one.name for one in known_codes()] + ["template", "secret key", "x", ""]) | st.text()


@pytest.mark.parametrize(
    ("error_code", "error_message", "step"),
    [
        pytest.param("AuthFailure.UnauthorizedOperation", "", "permission_keys", id="permission"),
        pytest.param("AuthFailure.SecretIdNotFound", "", "permission_keys", id="key"),
        pytest.param("AuthFailure.SignatureFailure", "", "permission_keys", id="signature"),
        pytest.param("UnauthorizedOperation", "", "permission_keys", id="permission-of-any-api"),
        pytest.param("FailedOperation.NotAuthenticatedSender", "", "sender_domain", id="domain"),
        pytest.param("OperationDenied.DomainNotVerified", "", "sender_domain", id="domain-denied"),
        pytest.param("InvalidParameterValue.NotExistDomain", "", "sender_domain", id="domain-missing"),
        pytest.param("3014", "", "sender_domain", id="domain-by-status"),
        pytest.param("FailedOperation.IncorrectEmail", "", "recipient_address", id="address"),
        pytest.param("InvalidParameterValue.ReceiverEmailInvalid", "", "recipient_address", id="receiver"),
        pytest.param("3024", "", "recipient_address", id="address-by-status"),
        pytest.param("FailedOperation.InvalidTemplateID", "", "template_data", id="template"),
        pytest.param("OperationDenied.TemplateStatusError", "", "template_data", id="template-review"),
        pytest.param("FailedOperation.WrongContentJson", "", "template_data", id="data"),
        pytest.param("3010", "", "template_data", id="data-by-status"),
        pytest.param("FailedOperation.WithOutPermission", "", "template_only", id="only-by-template"),
        pytest.param("1011", "", "template_only", id="only-by-template-by-status"),
        pytest.param(
            "FailedOperation", "The signature or SecretKey is wrong", "permission_keys", id="text-1"
        ),
        pytest.param("OperationDenied", "Domain verification failed.", "sender_domain", id="text-2"),
        pytest.param("FailedOperation", "Invalid email address: a b@c", "recipient_address", id="text-3"),
        pytest.param("InvalidParameter", "TemplateData lacks a variable", "template_data", id="text-4"),
        pytest.param("FailedOperation", "You may send only by template", "template_only", id="text-5"),
        pytest.param(
            "FailedOperation.Later", "template not approved", "template_data", id="text-of-new-code"
        ),
        pytest.param("sender_domain_unverified", "", "sender_domain", id="word"),
        pytest.param("template_not_approved", "", "template_data", id="word-of-template"),
        pytest.param(
            "554", '{"Code":"FailedOperation.WithOutPermission"', "template_only", id="code-in-text"
        ),
    ],
)
def test_the_cause_that_a_rejection_means_comes_first_and_the_others_in_the_order_of_support(
    error_code: str, error_message: str, step: Step
) -> None:
    answer = diagnose_send(error_code, error_message)
    assert answer.known
    assert answer.causes[0].name == step
    rest = [cause.name for cause in answer.causes if not cause.likely]
    assert rest == [name for name in SEND_STEPS if name not in {c.name for c in answer.causes if c.likely}]
    assert all(cause.checks for cause in answer.causes)


@given(WORDS, WORDS)
@example("", "")
@example("250", "2.1.5 delivered")
@example("blocklisted", "template")
def test_the_cause_alone_is_the_first_likely_one_of_the_whole_answer(
    error_code: str, error_message: str
) -> None:
    causes = diagnose_send(error_code, error_message).causes
    likely = [cause.name for cause in causes if cause.likely]
    assert cause_of_send(error_code, error_message) == (likely[0] if likely else "")


@given(WORDS, WORDS, st.sampled_from(["en", "id"]))
@example("", "", "en")
def test_every_rejection_gets_all_steps_in_order_unless_a_block_stopped_it(
    error_code: str, error_message: str, lang: str
) -> None:
    answer = diagnose_send(error_code, error_message, lang=lang)
    likely = [cause.likely for cause in answer.causes]
    assert likely == sorted(likely, reverse=True)
    further = [cause.name for cause in answer.causes if not cause.likely]
    assert further == [step for step in SEND_STEPS if step in further]
    if answer.reason == "suppressed":
        assert not further
    else:
        assert {cause.name for cause in answer.causes} >= set(SEND_STEPS)
    assert "message_id" in answer.support


def test_a_rejection_that_says_nothing_is_not_known_and_starts_with_the_first_step() -> None:
    answer = diagnose_send("E42", "it went wrong")
    assert not answer.known
    assert [cause.name for cause in answer.causes] == list(SEND_STEPS)
    assert "E42" in answer.support


@pytest.mark.parametrize("message", ["", "template", "FailedOperation.NotAuthenticatedSender"])
def test_a_stop_by_the_senders_own_list_is_suppressed_whatever_else_is_said(message: str) -> None:
    answer = diagnose_send("blocklisted", message)
    assert (answer.name, answer.reason) == ("blocked", "suppressed")
    assert [cause.name for cause in answer.causes] == ["recipient_blocked"]
    assert "blocklisted" in answer.support


@pytest.mark.parametrize("code", ["FailedOperation.EmailAddrInBlacklist", "1007", "3020"])
def test_a_stop_by_the_platforms_list_is_suppressed_too(code: str) -> None:
    answer = diagnose_send(code)
    assert (answer.reason, answer.causes[0].name) == ("suppressed", "recipient_blocked")
