"""Benchmarks: the monitor beside its peers, one command (``scripts/bench``); pytest skips them."""
