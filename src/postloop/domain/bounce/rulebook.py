"""The rules, read and compiled when the first bounce is classified."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from postloop.domain.bounce import rule_files
from postloop.domain.bounce.phrase_table import PhraseTable
from postloop.domain.bounce.phrases import Grammar
from postloop.domain.bounce.rule import Rule
from postloop.domain.bounce.text import END
from postloop.domain.bounce.vocabulary import Vocabulary, build_signs, spacer


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules.

    Attributes:
        general: Bits of the rules for every provider; `of_provider` has those of one.
        early: Bits of the text rules that are asked before the enhanced status.
        late: Bits of those that are asked after it.
        doubt: Bits of the phrases that keep a verdict from being hard.
        hosts: Ending of a host name -> provider.
        domains: Recipient domain -> provider.
        statuses: (provider or "", status without class) -> rule.
        replies: Reply code -> rule.
    """

    vocabulary: Vocabulary
    table: PhraseTable
    general: int
    of_provider: dict[str, int]
    early: int
    late: int
    doubt: int
    hosts: dict[str, str]
    domains: dict[str, str]
    statuses: dict[tuple[str, str], Rule]
    replies: dict[int, Rule]
    verifying: frozenset[str]

    def provider_of(self, host: str, domain: str) -> str:
        """Return the provider that answered, "" if no table knows it; the host counts before the domain."""
        by_domain = self.domains.get(domain.lower())
        if by_domain:
            return by_domain
        name = host.lower().rstrip(".")
        while name:
            found = self.hosts.get(name)
            if found is not None:
                return found
            name = name.partition(".")[2]
        return ""


@lru_cache(maxsize=1)
def rulebook() -> Rulebook:
    """Return the rules."""
    words = rule_files.read("words")
    providers = rule_files.read("providers")
    families = rule_files.families(words["families"])
    grammar = Grammar(families, words["macros"])
    rows = list(rule_files.phrase_rules(providers))
    outro = [phrase for phrases in words["conclusion"].values() for phrase in phrases]
    intro = [phrase for phrases in words["introduction"].values() for phrase in phrases]
    transcript = [phrase for phrases in words["transcript"].values() for phrase in phrases]
    all_words = set(_all_words(grammar, families.values(), [*outro, *intro, *transcript, *(phrase for _, phrase in rows)]))
    signs = build_signs(all_words)
    cut = re.compile("|".join(grammar.compile(phrase, signs).present[0] for phrase in transcript)).sub
    tail = re.compile("(?:"+"|".join(grammar.compile(phrase, signs).present[0] for phrase in outro)+").*$").sub
    lead = re.compile("^.*?(?:"+"|".join(grammar.compile(phrase, signs).present[0] for phrase in intro)+")(?=...)").sub
    table = PhraseTable([(rule, grammar.compile(phrase, signs)) for rule, phrase in rows])
    doubt = table.mask(lambda rule: rule.reason is None)
    late = table.mask(lambda rule: rule.name.startswith(tuple(f"{name}." for name in rule_files.LATE_FILES)))
    return Rulebook(
        vocabulary=Vocabulary(signs, families["LISTNAME"] | families["MECHANISM"], spacer(all_words), lambda found: cut(END, lead(END, tail("", found)))),
        table=table,
        general=table.mask(lambda rule: not rule.provider),
        of_provider={name: table.mask(lambda rule, name=name: rule.provider == name) for name in providers},
        early=table.mask(lambda rule: True) & ~late & ~doubt,
        late=late,
        doubt=doubt,
        hosts=rule_files.names(providers, "hosts"),
        domains=rule_files.names(providers, "domains"),
        statuses=dict(rule_files.status_rules(providers)),
        replies=dict(rule_files.reply_rules()),
        verifying=frozenset(name for name, table in providers.items() if table.get("verifies_recipients")),
    )


def _all_words(
    grammar: Grammar, families: Iterable[frozenset[str]], phrases: Iterable[str]
) -> Iterator[str]:
    for family in families:
        yield from family
    for phrase in phrases:
        yield from grammar.words_of(phrase)
