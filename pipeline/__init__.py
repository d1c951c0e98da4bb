"""What is rendered, in which order, and where it is kept. Nothing here imports torch; Ray only in `on_ray`."""

import sys

__version__ = "0.1.0"

# Of a command this is the first module that is loaded; `python -m pipeline.…` is called "-m" until its own is found.
if sys.argv and (sys.argv[0] == "-m" or sys.argv[0].rpartition("/")[2] == "longtake"):
    from pipeline.core import early_interrupt

    early_interrupt.begin()
