"""Diagnosis: what a code, a reason or a server's words mean, whose side it is on, and what to check.

What is known stands in data files, the catalogue and one file of words for each language; nothing is read before
the first question. docs/diagnosis.md tells how to add a code or a language.
"""

from postloop.domain.diagnosis.answers import (
    advice,
    cause_of_send,
    diagnose_send,
    explain,
    explain_reason,
    known_codes,
)
from postloop.domain.diagnosis.model import Advice, BounceVerdict, Cause, Elsewhere, Explanation, Listed
from postloop.domain.diagnosis.texts import languages

__all__ = [
    "Advice",
    "BounceVerdict",
    "Cause",
    "Elsewhere",
    "Explanation",
    "Listed",
    "advice",
    "cause_of_send",
    "diagnose_send",
    "explain",
    "explain_reason",
    "known_codes",
    "languages",
]
