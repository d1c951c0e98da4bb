"""`longtake VERB …`: the commands under one name. A command is loaded when it is asked for, and by `--help`."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from pipeline.core import early_interrupt
from pipeline.core.command import run_command

MODULES = {
    "render": "pipeline.render",
    "plan": "pipeline.plan",
    "status": "pipeline.status",
    "verify": "pipeline.verify",
    "evaluate": "pipeline.evaluate",
    "pages": "pipeline.pages_command",
    "gc": "pipeline.gc",
    "serve": "pipeline.serve",
    "trace": "pipeline.trace",
    "weights": "pipeline.weights",
    "detect": "pipeline.detect",
    "credentials": "pipeline.credentials_command",
    "redo": "pipeline.redo",
}


class Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MODULES:
            return None
        early_interrupt.begin()  # Ctrl-C while it is loaded
        try:
            command: click.Command = import_module(MODULES[cmd_name]).command
        finally:
            early_interrupt.end()
        return command


@click.group(cls=Verbs)
@click.version_option(package_name="longtake")
def group() -> None:
    """One portrait and hours of speech in, a long high-resolution video of that portrait speaking out."""


def main() -> None:
    sys.exit(run_command(group, sys.argv[1:]))


if __name__ == "__main__":
    main()
