"""Real server replies arrive whole: turn labelled bounces into email.bounce events, import them, read them back.

    python .ci/real_bounces.py DEV_JSONL

The samples' licences keep them out of the package, so this is a check of the continuous integration only. It
starts `postloop up` in a temporary directory, imports the events with `postloop import`, and compares every field
that was sent with what ClickHouse holds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

POSTLOOP = str(Path(sys.executable).with_name("postloop"))
FIELDS = ("smtp_code", "enhanced_code", "diagnostic", "smtp_command", "remote_host", "action")
MAX_TEXT = 8_192


def event_of(number: int, sample: dict[str, Any]) -> dict[str, Any]:
    """Return the bounce event of one labelled sample."""
    event = {
        "type": "bounce",
        "event_id": f"real-{number}",
        "occurred_at": datetime.now(UTC).isoformat(),
        "account_id": "real",
        "message_id": f"m-{number}",
        "sender_domain": "sender.example",
        "recipient": f"someone@{sample.get('recipient_domain') or 'unknown.example'}",
    }
    event |= {name: sample[name] for name in FIELDS if sample.get(name) is not None}
    if event.get("action") not in (None, "failed", "delayed"):
        del event["action"]
    return event


def stored(clickhouse: str) -> dict[str, dict[str, Any]]:
    """Return the stored bounces by event id."""
    query = f"SELECT event_id, {', '.join(FIELDS)}, outcome FROM events WHERE account_id = 'real' FORMAT JSONEachRow"
    with urlopen(f"{clickhouse}/?query={quote(query)}", timeout=30) as answer:
        return {row["event_id"]: row for row in map(json.loads, answer.read().splitlines())}


def compare(events: list[dict[str, Any]], rows: dict[str, dict[str, Any]]) -> list[str]:
    """Return what is missing or differs."""
    problems = []
    for event in events:
        row = rows.get(event["event_id"])
        if row is None:
            problems.append(f"{event['event_id']} is missing")
            continue
        for name in FIELDS:
            sent = event.get(name, 0 if name == "smtp_code" else "failed" if name == "action" else "")
            wanted = sent[:MAX_TEXT] if isinstance(sent, str) else sent
            if row[name] != wanted:
                problems.append(f"{event['event_id']} {name}: sent {wanted!r}, stored {row[name]!r}")
    return problems


def main(samples_file: str) -> int:
    """Run the check; return the exit code."""
    samples = [
        json.loads(line) for line in Path(samples_file).read_text(encoding="utf-8").splitlines() if line
    ]
    events = [event_of(number, sample) for number, sample in enumerate(samples)]
    with tempfile.TemporaryDirectory(prefix="postloop-real-") as directory:
        lines = Path(directory, "bounces.jsonl")
        lines.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        data = str(Path(directory, "data"))
        up = subprocess.Popen(
            [POSTLOOP, "up", "--data-dir", data, "--json"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert up.stdout is not None
            ready = next(said for said in map(json.loads, up.stdout) if said["event"] == "ready")
            subprocess.run([POSTLOOP, "import", str(lines), "--data-dir", data], check=True)
            deadline = time.monotonic() + 60
            while len(stored(ready["clickhouse"])) < len(events) and time.monotonic() < deadline:
                time.sleep(0.5)
            problems = compare(events, stored(ready["clickhouse"]))
        finally:
            up.terminate()
            up.wait(timeout=20)
    print("\n".join(problems[:20]))
    print(f"real bounces: {len(events)} sent, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
