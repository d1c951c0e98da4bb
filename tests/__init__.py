"""Tests; what must be settled before any library is loaded."""

import os

# Each process of a run on several takes one thread for sums: with more they wait for each other. numpy and torch read
# this when they are loaded, and so do the programs that tests start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
