"""Thin workers: each wraps one model object behind `run(work)` and reads and writes the store only."""
