"""`python -m pipeline.manifest --write-docs` writes the option table and the JSON schema into docs/."""

import sys

from pipeline.core.command import run_command
from pipeline.manifest.docs import main

if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
