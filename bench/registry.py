"""The variants: what runs, in which environment, and what it is called in the table."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, TypeVar

from postloop.domain.errors import PostloopError

Thing = TypeVar("Thing")


class UnknownNameError(PostloopError):
    """A name on the command line is none of those there are."""


@dataclass(frozen=True)
class Variant:
    """One consumer that is measured.

    Attributes:
        name: On the command line and in the table.
        title: What it is, in a few words.
        module: What `python -m` runs.
        environment: The peers' environment that it needs; None: the project's own.
    """

    name: str
    title: str
    module: str
    environment: str | None = None

    @property
    def is_product(self) -> bool:
        """The project's own recorder, unmodified."""
        return self.module == "postloop_streams"


VARIANTS: Final[dict[str, Variant]] = {
    variant.name: variant
    for variant in (
        Variant("postloop", "Postloop's recorder: exactly once, deduplicated", "postloop_streams"),
        Variant("faust-each", "stock Faust, an agent per event", "bench.peers.faust_each"),
        Variant("faust-take", "stock Faust, take(5000)", "bench.peers.faust_take"),
        Variant("quix", "Quix Streams, BatchingSink", "bench.peers.quix", "quix"),
        Variant("bytewax", "Bytewax, collect and sink", "bench.peers.bytewax_flow", "bytewax"),
        Variant("aiokafka", "aiokafka loop", "bench.peers.aiokafka_loop"),
        Variant("confluent", "confluent-kafka loop", "bench.peers.confluent_loop", "confluent"),
        Variant("ceiling", "librdkafka and SQL, no Python per event", "bench.peers.ceiling", "confluent"),
    )
}


def chosen(names: str) -> list[Variant]:
    """Return the variants of a comma-separated list, without repeats; empty text means all.

    Raises:
        UnknownNameError: A name is none of them.
    """
    return [VARIANTS[name] for name in chosen_names(names, VARIANTS)]


def chosen_names(names: str, known: Collection[str]) -> list[str]:
    """Return the names of a comma-separated list, without repeats; empty text means all that are known.

    Raises:
        UnknownNameError: A name is none of them.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UnknownNameError(f"{name!r} is not one of {', '.join(known)}{hint}")
    return wanted or list(known)


def rotated(things: list[Thing], round_number: int) -> list[Thing]:
    """Return the order of a round (counted from 0): every round starts one thing later."""
    place = round_number % len(things)
    return things[place:] + things[:place]
