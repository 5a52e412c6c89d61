"""Benchmarks: each measures Amend beside a yardstick in the same run, and prints the ratio."""
