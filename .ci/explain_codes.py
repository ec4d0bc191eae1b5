"""Every error code that a list of codes names is explained.

    python .ci/explain_codes.py FILE

FILE is a Markdown text with tables of codes: one with a column `Code` whose cells begin with a code of the API in
backquotes, one whose cells are numbers of SendStatus, and one of SMTP errors whose first column is headed `Text`.
A file outside of the package keeps this an honest check: the catalogue does not list what it is checked against.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from postloop.domain.diagnosis import explain, languages

# Fewer than this were found in no list that is worth the name: then the file is read wrongly.
FEWEST = 100

API_CODE = re.compile(r"`([A-Z][A-Za-z]+(?:\.[A-Za-z]+)?)`")
NUMBERS = re.compile(r"\d+(?:\s*[,/]\s*\d+)*")


def cells(line: str) -> list[str]:
    """Return the cells of a row of a table."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def codes(text: str) -> Iterator[str]:
    """Yield every code and every SMTP text that the tables name."""
    head = ""
    for line in text.splitlines():
        if not line.startswith("|"):
            head = ""
            yield from also_seen(line)
            continue
        first = cells(line)[0]
        if not head:
            head = first
        elif not set(first) <= set("-: "):
            yield from row(head, first)


def also_seen(line: str) -> Iterator[str]:
    """Yield the codes of a sentence that adds to a table."""
    if line.startswith("Also seen:"):
        yield from (code for code in API_CODE.findall(line) if code[0].isupper())


def row(head: str, first: str) -> Iterator[str]:
    """Yield what one row of a table names."""
    if head == "Text":
        yield first.strip("`")
    elif head == "Code" and NUMBERS.fullmatch(first):
        yield from re.findall(r"\d+", first)
    elif head == "Code":
        yield from API_CODE.findall(first)


def main() -> None:
    """Explain each code in each language; name those without an answer."""
    found = list(dict.fromkeys(codes(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    if len(found) < FEWEST:
        sys.exit(f"only {len(found)} codes found in {sys.argv[1]}: that is not the expected list")
    unanswered = [code for code in found for lang in languages() if not explain(code, lang).known]
    if unanswered:
        sys.exit(f"not explained: {', '.join(dict.fromkeys(unanswered))}")
    print(f"all {len(found)} codes are explained in {', '.join(languages())}")


if __name__ == "__main__":
    main()
