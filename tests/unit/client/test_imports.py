"""A sender pays for nothing that only workers need."""

import subprocess
import sys

FORBIDDEN = ("faust", "mode", "pyarrow", "aiohttp", "clickhouse_connect", "chdb", "postloop_streams")


def test_importing_the_client_loads_no_library_of_the_workers_and_starts_nothing() -> None:
    code = (
        "import sys, threading, postloop.client as client\n"
        f"loaded = [name for name in {FORBIDDEN} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
        "assert threading.active_count() == 1\n"
        "assert client.Blocklist and client.AsyncBlocklist and client.NotReady and client.Stale\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
