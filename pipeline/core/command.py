"""What all commands share: errors become one message on stderr and an exit code, never a traceback."""

from __future__ import annotations

import math

import click

from pipeline.core import early_interrupt
from pipeline.core.errors import LongtakeError, ManifestError
from pipeline.core.safe_text import printable, redact
from pipeline.core.scratch import NO_ROOM, no_room
from pipeline.core.standard_output import told_apart


class Finite(click.ParamType):
    """A number that is one: `nan` and `inf` are numbers for Python, and no length of time or edge of a box."""

    name = "NUMBER"

    def __init__(self, least: float = -math.inf):
        self._least = least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            found = float(str(value))
        except ValueError:
            found = math.nan
        if not (math.isfinite(found) and found >= self._least):
            least = "" if self._least == -math.inf else f" of at least {self._least:g}"
            self.fail(f"{value!r}: expected a number{least}")
        return found


def run_command(command: click.Command, argv: list[str]) -> int:
    """Run a click command in this process and return its exit code."""
    early_interrupt.end()
    try:
        with told_apart():
            return _run(command, argv)
    except LongtakeError as error:
        click.echo(f"error: {printable(redact(str(error)))}", err=True)
        return error.exit_code
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        click.echo(f"error: {printable(no_room(error.strerror or str(error)))}", err=True)
        return 2


def _run(command: click.Command, argv: list[str]) -> int:
    try:
        result = command.main(args=argv, standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:  # a mistake on the command line
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 75
    except ManifestError as error:
        click.echo(printable(redact(str(error))), err=True)
        count = len(error.problems)
        click.echo(f"{count} problem{'s' if count != 1 else ''}; nothing was rendered.", err=True)
        return error.exit_code
    return result if isinstance(result, int) else 0
