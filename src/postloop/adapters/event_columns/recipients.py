"""The recipient columns of a table: ordinary addresses as columns, peculiar ones one by one."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from postloop.contracts.rows import RecipientFacts, provider_facts, recipient_facts
from postloop.domain.recipient import DOT_ATOM, MAX_ADDRESS_BYTES, plain_domain

# One @, nothing that could be quoted, commented or spelled in another script around it.
_ORDINARY: Final = rf"^{DOT_ATOM}@[A-Za-z0-9.-]+$"
# How a feedback loop's stand-in for an address begins (`is_redacted`), and a few names of people.
_MAY_BE_REDACTED: Final = r"^(redacted|xxxxx|\*|undisclosed)"
_TYPES: Final = (pa.string(), pa.string(), pa.string(), pa.bool_(), pa.string(), pa.bool_())


def recipient_columns(raw: pa.Array) -> dict[str, pa.Array]:
    """Return the columns of `RecipientFacts` for a column of addresses as given, without nulls."""
    ordinary = pc.match_substring_regex(raw, _ORDINARY)
    if pc.max(pc.binary_length(raw)).as_py() > MAX_ADDRESS_BYTES:
        ordinary = pc.and_(ordinary, pc.less_equal(pc.binary_length(raw), MAX_ADDRESS_BYTES))
    lowered = pc.ascii_lower(raw)
    ordinary = pc.and_not(ordinary, pc.match_substring_regex(lowered, _MAY_BE_REDACTED))
    # Of an address that is not ordinary the text behind its first @; what it says is not used.
    domains = pc.list_element(pc.split_pattern(pc.binary_join_element_wise(lowered, "", "@"), "@"), 1)
    encoded = domains.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    facts = [_facts_of_domain(name) for name in names]
    known = pa.array([fact is not None for fact in facts], pa.bool_())
    ordinary = pc.and_(ordinary, known.take(encoded.indices))
    provider = pa.array([fact[0] if fact else "" for fact in facts], pa.string())
    reports = pa.array([fact[1] if fact else False for fact in facts], pa.bool_())
    columns = {
        "recipient": lowered,
        "recipient_raw": pc.if_else(pc.equal(raw, lowered), None, raw),
        "recipient_domain": domains,
        "recipient_valid": ordinary,
        "mailbox_provider": provider.take(encoded.indices),
        "reports_complaints": reports.take(encoded.indices),
    }
    return columns if pc.all(ordinary).as_py() else _with_peculiar(columns, raw, ordinary)


def _facts_of_domain(name: str) -> tuple[str, bool] | None:
    """Return provider and whether it reports complaints, None for a domain that only the library can judge."""
    return provider_facts(name) if plain_domain(name) == name else None


def _with_peculiar(columns: dict[str, pa.Array], raw: pa.Array, ordinary: pa.Array) -> dict[str, pa.Array]:
    """Replace the rows of addresses that are not ordinary."""
    mask = pc.invert(ordinary)
    facts = [recipient_facts(text) for text in raw.filter(mask).to_pylist()]
    return {
        name: pc.replace_with_mask(
            columns[name], mask, pa.array([fact[place] for fact in facts], _TYPES[place])
        )
        for place, name in enumerate(RecipientFacts._fields)
    }
