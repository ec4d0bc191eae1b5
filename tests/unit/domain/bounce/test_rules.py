"""The rule files: every rule is hit, is explained, and is a rule of the language."""

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files

import pytest

from postloop.domain.bounce import FACTS, Bounce, classify
from postloop.domain.bounce.phrases import Lexicon, PhraseCompiler, PhraseError
from postloop.domain.bounce.reply import read_reply
from postloop.domain.bounce.rule_files import GENERAL, STRONG, WEAK
from postloop.domain.bounce.rulebook import rulebook
from postloop.domain.bounce.vocabulary import build_vocabulary
from tests.unit.domain.bounce.samples import SAMPLES

RULES = files("postloop.domain.bounce") / "rules"
FILES = sorted(path.name for path in RULES.iterdir() if path.name.endswith(".toml"))
SECOND_THOUGHTS = re.compile(r"^(?:before_rcpt|unproven|temporary)\.")


def hit_by_samples() -> set[str]:
    """Return the names of the rules that decide a sample, or keep one from being hard."""
    book = rulebook()
    hit = {SECOND_THOUGHTS.sub("", classify(sample.bounce).rule) for sample in SAMPLES}
    for sample in SAMPLES:
        reply = read_reply(sample.bounce, book)
        hit |= {rule.name for rule in reply.matching(book.doubt)}
    return hit


def test_every_text_rule_is_hit_by_a_labelled_reply() -> None:
    hit = hit_by_samples()
    assert [rule.name for rule in rulebook().table.rules if rule.name not in hit] == []


@pytest.mark.parametrize("second_thought", ["before_rcpt", "unproven", "temporary"])
def test_every_second_thought_is_hit_by_a_labelled_reply(second_thought: str) -> None:
    assert any(classify(sample.bounce).rule.startswith(f"{second_thought}.") for sample in SAMPLES)


def status_cases() -> Iterator[tuple[str, str, str]]:
    """Yield table or provider, status, and a host of the provider."""
    book = rulebook()
    host_of = {provider: host for host, provider in book.providers.hosts.items()}
    for table, status in book.statuses:
        yield table, status, "" if table in (GENERAL, STRONG, WEAK) else host_of[table]


@pytest.mark.parametrize(("table", "status", "host"), list(status_cases()))
def test_a_status_alone_decides_as_its_table_says(table: str, status: str, host: str) -> None:
    rule = rulebook().statuses[table, status]
    shown = status.replace("*", "99")
    verdict = classify(
        Bounce(smtp_code=550, enhanced_code=f"5.{shown}", remote_host=host, smtp_command="RCPT")
    )
    assert (verdict.rule, verdict.reason) == (rule.name, rule.reason)
    assert verdict.hard == (rule.may_be_hard and FACTS[rule.reason].can_be_hard)


@pytest.mark.parametrize("code", list(rulebook().replies))
def test_a_reply_code_alone_decides_as_its_table_says(code: int) -> None:
    rule = rulebook().replies[code]
    verdict = classify(Bounce(diagnostic=str(code)))
    assert (verdict.rule, verdict.reason) == (rule.name, rule.reason)
    assert not verdict.hard or code == 556


def unexplained(name: str) -> Iterator[str]:
    """Yield the rows of a rule file that have no comment: on the line, right above, or for a whole table of codes."""
    table_of_codes = name == "codes.toml"
    above = False
    for number, line in enumerate((RULES / name).read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("["):
            table_of_codes = name == "codes.toml" or line.endswith(".status]")
            above = False
        elif line.startswith("#"):
            above = True
        elif re.match(r'[a-z"0-9]', line) and not line.startswith(
            ("hosts =", "domains =", "verifies_recipients =")
        ):
            if not above and "#" not in line:
                yield f"{name}:{number}: {line}"
            above = above and table_of_codes


@pytest.mark.parametrize("name", [name for name in FILES if name != "words.toml"])
def test_every_rule_has_its_source_or_reason_beside_it(name: str) -> None:
    assert list(unexplained(name)) == []


def test_every_family_of_words_says_what_it_means() -> None:
    lines = (RULES / "words.toml").read_text(encoding="utf-8").splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("[families.")]
    assert heads
    assert [lines[number] for number in heads if not lines[number + 1].startswith("#")] == []


def test_every_family_and_macro_is_used() -> None:
    words = tomllib.loads((RULES / "words.toml").read_text(encoding="utf-8"))
    used = " ".join((RULES / name).read_text(encoding="utf-8") for name in FILES if name != "words.toml")
    used += (
        " ".join(phrase for phrases in words["macros"].values() for phrase in phrases) + " LISTNAME MECHANISM"
    )
    names = [*words["families"], *words["macros"]]
    assert [name for name in names if not re.search(rf"\b{name}\b", used)] == []


@pytest.mark.parametrize("name", FILES)
def test_no_line_of_a_rule_file_is_a_key_twice_or_malformed(name: str) -> None:
    assert tomllib.loads((RULES / name).read_text(encoding="utf-8"))


LEXICON = Lexicon(
    {"MAILBOX": frozenset({"user", "mailbox"}), "NEG": frozenset({"not", "no"})},
    {"ABSENCE": ["unknown", "NEG ..1 found"]},
)


def finds(phrase: str, reply: str) -> bool:
    """Return whether a phrase is found in a reply, with a small lexicon."""
    words = {word for family in LEXICON.families.values() for word in family} | {"unknown", "found"}
    vocabulary = build_vocabulary(words | set(LEXICON.words_of(phrase)), host_words=frozenset({"spamhaus"}))
    compiled = PhraseCompiler(LEXICON, vocabulary.signs).compile(phrase)
    signs = vocabulary.encode(reply)
    found = all(re.search(pattern, signs) for pattern in compiled.present)
    return found and not any(re.search(pattern, signs) for pattern in compiled.absent)


@pytest.mark.parametrize(
    ("phrase", "reply", "expected"),
    [
        pytest.param("user", "the user", True, id="a word"),
        pytest.param("user", "users", False, id="not a part of a word"),
        pytest.param("user|person", "a person", True, id="alternatives"),
        pytest.param("MAILBOX full", "mailbox is full", True, id="a family, idle words do not count"),
        pytest.param("MAILBOX ABSENCE", "user not found", True, id="a macro"),
        pytest.param("MAILBOX gone|ABSENCE", "user unknown", True, id="a macro among alternatives"),
        pytest.param("user local? unknown", "user unknown", True, id="a word that may be missing"),
        pytest.param("user local? unknown", "user local unknown", True, id="a word that may be there"),
        pytest.param("user ..2 full", "user one two full", True, id="a gap"),
        pytest.param("user ..2 full", "user one two three full", False, id="a gap that is too wide"),
        pytest.param("user ..2 full", "user. full", False, id="a gap ends with the sentence"),
        pytest.param("@ unknown", "<ann@example.com>: unknown", True, id="an address"),
        pytest.param("# unknown", "mx.example.com unknown", True, id="a host"),
        pytest.param("% unknown", "[192.0.2.1] unknown", True, id="an IPv4 address"),
        pytest.param("^ full $", "550 5.2.2 full", True, id="nothing else but codes"),
        pytest.param("^ full $", "mailbox full", False, id="something else"),
        pytest.param("full & user", "user: disk full", True, id="both, in any order"),
        pytest.param("full & user", "disk full", False, id="one of two"),
        pytest.param("full ! disk", "mailbox full", True, id="not the other"),
        pytest.param("full ! disk", "disk full", False, id="the other"),
        pytest.param("spamhaus", "see zen.spamhaus.org", True, id="a list's name inside a host"),
        pytest.param("user", "see user.example.com", False, id="no other word inside a host"),
        pytest.param("exist user", "does not exist.user unknown", True, id="sentences without a blank"),
        pytest.param("full", "over-full", True, id="compound words"),
        pytest.param("full", "see http://example.com/?full=1", False, id="no name of a parameter in a link"),
        pytest.param("full", "see http://example.com/?why=full", True, id="the value of a parameter"),
    ],
)
def test_a_phrase_means_what_its_language_says(phrase: str, reply: str, expected: bool) -> None:
    assert finds(phrase, reply) is expected


@pytest.mark.parametrize("phrase", ["NOFAMILY", "..", "^ $", "user NONE|x", "the user"])
def test_a_phrase_outside_the_language_is_refused(phrase: str) -> None:
    with pytest.raises(PhraseError):
        finds(phrase, "")
