"""The data of the diagnosis: complete, consistent, and the same in every language."""

import re
import string
import subprocess
import sys
from typing import Any, get_args

import pytest

from postloop.domain.diagnosis import explain, known_codes, languages
from postloop.domain.diagnosis.catalogue import Entry, catalogue, providers, read_toml
from postloop.domain.diagnosis.model import SEND_STEPS, STEPS, Retry, Side
from postloop.domain.diagnosis.texts import Texts, texts

ENTRIES = list(catalogue().entries.values())
LISTED = known_codes()
# Details of the registry of enhanced status codes, by subject (IANA, December 2024).
REGISTRY = {0: 0, 1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}
REASONS = {
    *("user_unknown", "host_unknown", "recipient_filtered", "mailbox_full", "mailbox_disabled"),
    *(
        "spam_content",
        "content_rejected",
        "sender_blocked",
        "auth_failure",
        "policy",
        "rate_limited",
        "too_large",
    ),
    *("greylisted", "network", "system_error", "expired", "relay_denied", "protocol_error", "tls"),
    *("suppressed", "auto_reply", "unknown"),
}
TOPICS = ["images_not_shown", "corporate_filter", "delayed", "unsubscribed", "blocked"]


def name_of(entry: Entry) -> str:
    return f"{entry.family}-{entry.key}"


def test_everything_that_is_listed_is_known_by_that_name() -> None:
    answers = {one.name: explain(one.name) for one in LISTED}
    assert [name for name, answer in answers.items() if (answer.known, answer.name) != (True, name)] == []


def test_no_name_is_listed_twice() -> None:
    assert len({one.name for one in LISTED}) == len(LISTED)


@pytest.mark.parametrize("group", ["4", "5"])
def test_every_code_of_the_registry_is_known_for_now_and_for_good(group: str) -> None:
    codes = [f"{group}.{subject}.{n}" for subject, last in REGISTRY.items() for n in range(last + 1)]
    assert [code for code in codes if not explain(code).known] == []


def test_every_bounce_reason_and_topic_is_there() -> None:
    assert [name for name in (*REASONS, *TOPICS, *SEND_STEPS) if not explain(name).known] == []


def test_a_code_speaks_for_a_bounce_reason_or_for_none() -> None:
    assert {entry.reason for entry in ENTRIES} - {""} <= REASONS


def test_an_entry_has_known_words_for_its_side_and_for_sending_again() -> None:
    sides, retries = get_args(Side), get_args(Retry)
    assert [name_of(e) for e in ENTRIES if e.side not in sides or e.retry not in retries] == []


def test_behind_the_first_cause_the_others_follow_the_order_of_support() -> None:
    steps = {
        name_of(entry): [STEPS.index(catalogue().step_of[cause]) for cause in entry.causes[1:]]
        for entry in ENTRIES
    }
    assert {name: order for name, order in steps.items() if order != sorted(order)} == {}


def test_what_failed_has_a_cause() -> None:
    failed = [entry for entry in ENTRIES if (entry.side, entry.retry) != ("nobody", "unneeded")]
    assert [name_of(entry) for entry in failed if not entry.causes] == []


def test_each_step_at_which_a_send_stops_has_a_cause_of_its_name() -> None:
    assert [step for step in SEND_STEPS if catalogue().step_of.get(step) != step] == []


def test_every_source_is_an_https_address() -> None:
    addresses = {source for entry in ENTRIES for source in entry.sources}
    assert [a for a in addresses if not re.fullmatch(r"https://[a-z0-9.-]+\.[a-z]+/\S*", a)] == []


def test_codes_of_providers_and_of_the_platform_name_their_source() -> None:
    families = {
        *providers(),
        "tencent_api",
        "send_status",
        "deliver_status",
        "tencent_smtp",
        "enhanced",
        "reply",
    }
    assert [name_of(entry) for entry in ENTRIES if entry.family in families and not entry.sources] == []


def test_every_cause_is_used_and_every_source_too() -> None:
    data = read_toml("codes", "causes")
    assert {cause for entry in ENTRIES for cause in entry.causes} == set(catalogue().step_of)
    assert {source for entry in ENTRIES for source in entry.sources} == set(data["sources"].values())


def flat(tables: dict[str, Any]) -> dict[tuple[str, ...], str]:
    """Return every text of a language by its place."""
    found: dict[tuple[str, ...], str] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            found |= {(name, *place): text for place, text in flat(value).items()}
        elif isinstance(value, list):
            found |= {(name, str(number)): text for number, text in enumerate(value)}
        else:
            found[name,] = value
    return found


ENGLISH = flat(read_toml("languages", "en"))


def test_every_entry_and_cause_has_its_words_in_english() -> None:
    words = texts("en")
    assert all(words.meaning(entry) for entry in ENTRIES)
    assert all(words.cause(cause)[1] for cause in catalogue().step_of)
    assert all(words.text("next_step", e.key) for e in catalogue().family("reason"))


def test_indonesian_is_one_of_the_languages() -> None:
    assert {"en", "id"} <= set(languages())


@pytest.mark.parametrize("lang", [lang for lang in languages() if lang != "en"])
def test_a_language_has_exactly_the_texts_of_english(lang: str) -> None:
    assert set(flat(read_toml("languages", lang))) == set(ENGLISH)


@pytest.mark.parametrize("lang", languages())
def test_a_text_is_filled_in_with_the_same_words_in_every_language(lang: str) -> None:
    def fields(text: str) -> set[str | None]:
        return {field for _, field, _, _ in string.Formatter().parse(text)} - {None}

    theirs = flat(read_toml("languages", lang))
    assert [place for place, text in theirs.items() if fields(text) != fields(ENGLISH[place])] == []


@pytest.mark.parametrize("lang", [lang for lang in languages() if lang != "en"])
def test_what_is_said_to_customers_is_translated(lang: str) -> None:
    theirs = flat(read_toml("languages", lang))
    names = {"family"}  # Gmail is Gmail everywhere
    assert [place for place in ENGLISH if place[0] not in names and theirs[place] == ENGLISH[place]] == []


@pytest.mark.parametrize("lang", languages())
def test_a_sentence_ends_like_one(lang: str) -> None:
    spoken = {"causes", "next_step", "retry", "support", *{entry.family for entry in ENTRIES}}
    theirs = flat(read_toml("languages", lang))
    assert [place for place, text in theirs.items() if place[0] in spoken and text[-1] not in ".?"] == []


def test_a_text_that_a_language_lacks_is_said_in_english() -> None:
    bare = Texts("xx", {"side": {"sender": "der Absender"}})
    assert bare.text("side", "sender") == "der Absender"
    assert bare.text("side", "recipient") == texts("en").text("side", "recipient")
    assert bare.cause("greylisting") == texts("en").cause("greylisting")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("id", "id"), ("ID", "id"), ("id-ID", "id"), ("id_ID", "id"), ("en-GB", "en"), ("xx", "en"), ("", "en")],
)
def test_a_language_is_found_by_its_code_and_else_it_is_english(asked: str, answered: str) -> None:
    assert explain("5.1.1", asked).lang == answered


def test_importing_reads_no_file() -> None:
    code = """
import postloop.domain.diagnosis
from postloop.domain.diagnosis import catalogue, texts
print(catalogue.catalogue.cache_info().currsize, texts._tables.cache_info().currsize)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"]
