"""Explanations: put together from the catalogue and the words of a language."""

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from postloop.domain.diagnosis.catalogue import Entry, catalogue, providers
from postloop.domain.diagnosis.model import (
    SEND_STEPS,
    Advice,
    BounceVerdict,
    Cause,
    Elsewhere,
    Explanation,
    Listed,
    Retry,
    Side,
)
from postloop.domain.diagnosis.recognise import Finding, Rank, recognise
from postloop.domain.diagnosis.statuses import STATUS, entry_at
from postloop.domain.diagnosis.texts import DEFAULT_LANGUAGE, Texts, texts
from postloop.domain.outcome import BLOCKLISTED

_QUERY_CHARS: Final = 500
_SIMILAR_COUNT: Final = 3
_SIMILAR_CHARS: Final = 64
"""No code is longer; what is longer is a sentence and like no code."""
_UNKNOWN: Final = ("reason", "unknown")


def explain(query: str | BounceVerdict, lang: str = DEFAULT_LANGUAGE) -> Explanation:
    """Return what a code, a word, a text or a bounce verdict means and what to check.

    A text is answered by its most telling code. What is not known is said to be so (`known` is False), with
    what its nearest class tells. Every answer ends with what to hand to support; no text raises.
    """
    if isinstance(query, BounceVerdict):
        verdict = query
        return explain_reason(
            verdict.reason,
            codes=verdict.codes,
            provider=verdict.provider,
            deferred=verdict.deferred,
            lang=lang,
        )
    words = texts(lang)
    found = recognise(query)
    if not found:
        return _nothing(query, words)
    answer = _composed(query, found[0], words)
    return _walked(answer, words) if _is_send_step(answer) else answer


def explain_reason(
    reason: str,
    *,
    codes: Iterable[str] = (),
    provider: str = "",
    deferred: bool = False,
    lang: str = DEFAULT_LANGUAGE,
) -> Explanation:
    """Return the explanation of a bounce by the reason that a classifier gave it.

    Of the codes that came with it, the first that speaks for the same reason makes the answer more exact; a code
    that speaks for another reason was overruled by the classifier and is only handed to support. `deferred`
    mail is still retried by the sending server. A reason that there is not leaves the answer to the codes.
    """
    words = texts(lang)
    given = [code.strip() for code in codes if code.strip()]
    found = [finding for code in given for finding in recognise(code, provider=provider)]
    entry = catalogue().entries.get(("reason", reason.strip().lower()))
    if entry is None:
        query = " ".join([reason, *given])
        return _composed(query, min(found, key=_telling), words) if found else _nothing(query, words)
    answer = _composed(reason, Finding(entry, "", Rank.NAME), words)
    answer = _handed_over(answer, " ".join(given), words)
    if deferred:
        retry = _for_now(entry)
        answer = replace(answer, retry=retry, retry_text=words.text("retry", retry))
    exact = next((f for f in found if f.known and f.entry.reason == entry.key and not f.entry.vague), None)
    return answer if exact is None else _narrowed(answer, exact.entry, words)


def diagnose_send(error_code: str, error_message: str = "", *, lang: str = DEFAULT_LANGUAGE) -> Explanation:
    """Return why the platform rejected a send (`email.send` with status `rejected`).

    The cause that code and text speak for comes first, the others follow in the order in which support checks
    them: permission and keys, sender domain, recipient address, template and data, sending only by template.
    """
    words = texts(lang)
    code = error_code.strip()
    query = " ".join(part for part in (code, error_message.strip()) if part)
    best = _telling_of_send(code, error_message)
    answer = _composed(query, best, words) if best else replace(_nothing(query, words), causes=())
    return _walked(answer if answer.code else _handed_over(answer, code, words), words)


def cause_of_send(error_code: str, error_message: str = "") -> str:
    """Return the name of the cause that comes first in `diagnose_send`, "" where code and text speak for none.

    Without the words of an answer, and without a search for names like an unknown one: a rejected send is judged as
    it is stored.
    """
    best = _telling_of_send(error_code.strip(), error_message)
    return next(iter(_causes(best)), "") if best else ""


def _telling_of_send(code: str, error_message: str) -> Finding | None:
    # The sender's own list stopped it: whatever the message says, there is nothing to look for on the platform.
    message = "" if code.lower() == BLOCKLISTED else error_message
    return min(recognise(code) + recognise(message), key=_telling, default=None)


def _causes(finding: Finding) -> tuple[str, ...]:
    """Return the names of the causes behind a code, none where its class says that nothing failed."""
    return () if _group(finding) == "2" else finding.entry.causes


def _group(finding: Finding) -> str:
    return finding.code[0] if STATUS.fullmatch(finding.code) else ""


@lru_cache(maxsize=1024)
def advice(reason: str, lang: str = DEFAULT_LANGUAGE) -> Advice:
    """Return one sentence on a bounce reason and one next step; another word is as `unknown`.

    Also for the other reasons of a blocklist entry: `complaint`, `unsubscribe`, `manual`.
    """
    words = texts(lang)
    name = reason if ("reason", reason) in catalogue().entries else "unknown"
    return Advice(name, words.text("reason", name), words.text("next_step", name))


def known_codes(lang: str = DEFAULT_LANGUAGE) -> tuple[Listed, ...]:
    """Return everything that can be explained, in the order of the catalogue."""
    words = texts(lang)
    return tuple(
        Listed(
            name=entry.name,
            family=entry.family,
            family_label=words.text("family", entry.family),
            side=entry.side,
            retry=entry.retry,
            meaning=_sentence(words.meaning(entry)),
        )
        for entry in catalogue().entries.values()
    )


def _telling(finding: Finding) -> tuple[bool, Rank]:
    """Order findings of several texts: what is known comes before what is not."""
    return not finding.known, finding.rank


def _composed(query: str, finding: Finding, words: Texts) -> Explanation:
    code = finding.code
    group = _group(finding)
    if group == "2" and not finding.entry.success:
        # A class that says "taken" outweighs what the rest of the code would mean in a refusal.
        finding = replace(finding, entry=catalogue().entries["class", "2xx"])
    entry = finding.entry
    side: Side = "nobody" if group == "2" else entry.side
    retry: Retry = {"2": "unneeded", "4": _for_now(entry)}.get(group, entry.retry)
    return Explanation(
        query=query[:_QUERY_CHARS],
        lang=words.lang,
        name=entry.name,
        code=code,
        family=entry.family,
        family_label=words.text("family", entry.family),
        known=finding.known,
        meaning=_meaning(finding, words),
        side=side,
        side_text=words.text("side", side),
        retry=retry,
        retry_text=words.text("retry", retry),
        causes=tuple(_cause(name, words) for name in _causes(finding)),
        sources=entry.sources,
        support=_support(words, code, entry),
        reason=entry.key if entry.family == "reason" else entry.reason,
        elsewhere=_elsewhere(finding, words),
        similar=_similar(code) if finding.rank is Rank.UNKNOWN_API_CODE else (),
    )


def _meaning(finding: Finding, words: Texts) -> str:
    entry, code = finding.entry, finding.code
    meaning = words.meaning(entry)
    if not finding.known:
        nearest = entry.name.replace("X", code[0]) if STATUS.fullmatch(code) else entry.name
        return words.text("unknown", "code").format(code=code, nearest=nearest, meaning=meaning)
    return _sentence(meaning)


def _sentence(text: str) -> str:
    """Return a text with a capital letter: what a class tells is written so that it can follow a colon."""
    return text[0].upper() + text[1:]


def _nothing(query: str, words: Texts) -> Explanation:
    """Return the honest answer to a text in which nothing was recognised."""
    answer = _composed(query, Finding(catalogue().entries[_UNKNOWN], "", Rank.NAME), words)
    return replace(
        answer,
        name="",
        family="",
        family_label="",
        known=False,
        meaning=words.text("unknown", "text"),
        sources=(),
        similar=_similar(query.strip()),
    )


def _narrowed(answer: Explanation, exact: Entry, words: Texts) -> Explanation:
    """Return a reason's explanation with what a code of the same reason adds."""
    names = dict.fromkeys([*exact.causes, *(cause.name for cause in answer.causes)])
    return replace(
        answer,
        meaning=words.meaning(exact),
        causes=tuple(_cause(name, words) for name in names),
        sources=tuple(dict.fromkeys([*exact.sources, *answer.sources])),
    )


def _handed_over(answer: Explanation, code: str, words: Texts) -> Explanation:
    """Return the answer with another code to hand to support."""
    return replace(answer, code=code, support=_support(words, code))


def _for_now(entry: Entry) -> Retry:
    """Return who tries again after a refusal for now: the server does, but a sender's fault stays one."""
    return "automatic_after_fix" if entry.retry in ("after_fix", "automatic_after_fix") else "automatic"


def _is_send_step(answer: Explanation) -> bool:
    """Return whether a code of the platform points first at one of the steps that support goes through."""
    on_platform = answer.family in ("tencent_api", "send_status", "tencent_smtp", "send")
    return on_platform and bool(answer.causes) and answer.causes[0].name in SEND_STEPS


def _walked(answer: Explanation, words: Texts) -> Explanation:
    """Return the answer with the steps of support that it does not name yet, in their order.

    A send that a blocklist or an unsubscription stopped has its cause; there is nothing more to look for.
    """
    if answer.reason == "suppressed":
        return answer
    seen = {cause.name for cause in answer.causes}
    rest = [replace(_cause(step, words), likely=False) for step in SEND_STEPS if step not in seen]
    return replace(answer, causes=(*answer.causes, *rest))


def _cause(name: str, words: Texts) -> Cause:
    text, checks = words.cause(name)
    return Cause(name, catalogue().step_of[name], text, checks)


def _support(words: Texts, code: str, entry: Entry | None = None) -> str:
    if entry is not None and words.has("support", entry.key):
        return words.text("support", entry.key)
    return words.text("support", "with_code" if code else "without_code").format(code=code[:80])


def _elsewhere(finding: Finding, words: Texts) -> tuple[Elsewhere, ...]:
    """Return what providers mean by a code of the registry, where it may differ.

    RFC 3463 section 3.8 leaves X.7 to each site's policy, so there a provider's own words always count.
    """
    status = STATUS.fullmatch(finding.code)
    if status is None or finding.entry.family != "enhanced":
        return ()
    theirs = ((name, entry_at(status, name)) for name in providers())
    return tuple(
        Elsewhere(name, words.text("family", name), words.meaning(entry))
        for name, entry in theirs
        if entry and (status[2] == "7" or entry.reason != finding.entry.reason)
    )


def _similar(code: str) -> tuple[str, ...]:
    """Return names that look like a word that is not known; digits are no likeness."""
    if not any(char.isalpha() for char in code) or len(code) > _SIMILAR_CHARS:
        return ()
    names = [entry.name for entry in catalogue().entries.values()]
    return tuple(get_close_matches(code, names, n=_SIMILAR_COUNT, cutoff=0.75))
