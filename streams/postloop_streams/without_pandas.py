"""Keep pandas out of a worker, which has no use for it.

pyarrow asks of each value that it makes a scalar of whether it is one of pandas', and imports pandas for that where it
is installed (the embedded engine needs it): 0.6 s of processor time and 55 MB, in the middle of its first batch.
pyarrow works without it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Refusal(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "pandas":
            raise ModuleNotFoundError(f"{fullname} is not used in a worker", name=fullname)
        return None


def refuse_pandas() -> None:
    """Make `import pandas` fail in this process as if it were not installed."""
    sys.meta_path.insert(0, _Refusal())
