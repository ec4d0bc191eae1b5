"""The rules, read and compiled when the first bounce is classified."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from postloop.domain.bounce import rule_files
from postloop.domain.bounce.frames import build_cut, build_head, frame_phrases
from postloop.domain.bounce.phrase_table import PhraseTable
from postloop.domain.bounce.phrases import Lexicon, PhraseCompiler
from postloop.domain.bounce.rule import Rule
from postloop.domain.bounce.rule_files import GENERAL, STRONG, WEAK, Row, Table
from postloop.domain.bounce.vocabulary import Vocabulary, build_vocabulary


@dataclass(frozen=True, slots=True)
class Providers:
    """Who answers under which name.

    Attributes:
        hosts: Ending of a host name -> provider.
        domains: Recipient domain -> provider.
        verifying: Providers whose "unknown user" is about the user at whatever stage of the session.
    """

    hosts: dict[str, str]
    domains: dict[str, str]
    verifying: frozenset[str]

    def name_of(self, *, host: str, domain: str) -> str:
        """Return the provider, "" if no table knows it. A consumer domain is certain, a host may be a gateway."""
        found = self.domains.get(domain.strip().lower())
        name = host.strip().lower().rstrip(".")
        while found is None and name:
            found = self.hosts.get(name)
            name = name.partition(".")[2]
        return found or ""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules.

    Attributes:
        head: Tells how long what relays put before a folded reply is.
        cut: Cuts what a report writes around a reply out of its signs.
        general: Bits of the phrases for every provider; `of_provider` has those of one.
        early: Bits of the phrases that are asked before the enhanced status.
        late: Bits of those that are asked after it.
        doubt: Bits of those that keep a verdict from being hard.
    """

    vocabulary: Vocabulary
    head: Callable[[str], int]
    cut: Callable[[str], str]
    table: PhraseTable
    general: int
    of_provider: dict[str, int]
    early: int
    late: int
    doubt: int
    providers: Providers
    statuses: dict[tuple[str, str], Rule]
    replies: dict[int, Rule]

    def strong_status(self, status: str) -> Rule | None:
        """Return the rule of a status that outranks words about recipients."""
        return self.statuses.get((STRONG, status))

    def status(self, status: str, provider: str) -> Rule | None:
        """Return the rule of a status, the provider's own before the general one."""
        return self.statuses.get((provider, status)) or self.statuses.get((GENERAL, status))

    def weak_status(self, status: str) -> Rule | None:
        """Return the rule of a status that says less than words; one may stand for a whole subject ("7.*")."""
        subject = status.partition(".")[0]
        return self.statuses.get((WEAK, status)) or self.statuses.get((WEAK, f"{subject}.*"))

    def reply(self, code: str) -> Rule | None:
        """Return the rule of a reply code, else that of temporary ones ("4")."""
        return self.replies.get(int(code)) or (self.replies.get(4) if code[0] == "4" else None)


@lru_cache(maxsize=1)
def rulebook() -> Rulebook:
    """Return the rules."""
    words, report, providers = (rule_files.read(name) for name in ("words", "report", "providers"))
    families = rule_files.families(words["families"])
    lexicon = Lexicon(families, words["macros"])
    parts = [list(rule_files.provider_rows(providers))]
    parts += [list(rows()) for rows in (rule_files.text_rows, rule_files.late_rows, rule_files.doubt_rows)]
    rows = [row for part in parts for row in part]
    vocabulary = build_vocabulary(
        _all_words(lexicon, rows, report),
        host_words=families["LISTNAME"] | families["MECHANISM"],
    )
    compiler = PhraseCompiler(lexicon, vocabulary.signs)
    of_provider, text, late, doubt = _bits(len(part) for part in parts)
    return Rulebook(
        vocabulary=vocabulary,
        head=build_head(report),
        cut=build_cut(report, compiler),
        table=PhraseTable([(rule, compiler.compile(phrase)) for rule, phrase in rows]),
        general=text | late | doubt,
        of_provider=_provider_bits(parts[0]),
        early=of_provider | text,
        late=late,
        doubt=doubt,
        providers=_providers(providers),
        statuses=dict(rule_files.status_rules(providers)),
        replies=dict(rule_files.reply_rules()),
    )


def _all_words(lexicon: Lexicon, rows: Iterable[Row], report: Table) -> Iterator[str]:
    for family in lexicon.families.values():
        yield from family
    for _, phrase in rows:
        yield from lexicon.words_of(phrase)
    for phrase in frame_phrases(report):
        yield from lexicon.words_of(phrase)


def _bits(lengths: Iterable[int]) -> Iterator[int]:
    """Yield a number with a bit for each phrase of each part, the parts one after the other."""
    start = 0
    for length in lengths:
        yield ((1 << length) - 1) << start
        start += length


def _provider_bits(rows: Iterable[Row]) -> dict[str, int]:
    """Return the bits of each provider's own phrases; they are the first of the table."""
    bits: dict[str, int] = {}
    for number, (rule, _) in enumerate(rows):
        bits[rule.provider] = bits.get(rule.provider, 0) | 1 << number
    return bits


def _providers(table: Table) -> Providers:
    verifying = frozenset(name for name, rules in table.items() if rules.get("verifies_recipients"))
    return Providers(rule_files.names(table, "hosts"), rule_files.names(table, "domains"), verifying)
