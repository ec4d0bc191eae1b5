"""Shared or dedicated: a sender beside the others on its IP pool, and whose change a change is."""

from postloop.domain.pool.change import Change, PoolPolicy, Verdict, decompose
from postloop.domain.pool.compare import Comparison, Measure, Side, compare
from postloop.domain.pool.texts import describe

__all__ = [
    "Change",
    "Comparison",
    "Measure",
    "PoolPolicy",
    "Side",
    "Verdict",
    "compare",
    "decompose",
    "describe",
]
