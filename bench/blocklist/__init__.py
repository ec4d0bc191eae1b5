"""Benchmarks of the blocklist: each part runs the real worker, or the real client, on a broker of its own."""
