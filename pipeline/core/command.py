"""What all commands share: errors become one message on stderr and an exit code, never a traceback."""

from __future__ import annotations

import click

from pipeline.core.errors import LongtakeError, ManifestError
from pipeline.core.printed import printed
from pipeline.core.redact import redact


def run_command(command: click.Command, argv: list[str]) -> int:
    """Run a click command in this process and return its exit code."""
    try:
        result = command.main(args=argv, standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:  # a mistake on the command line
        error.show()
        return 2
    except click.Abort:
        return 75
    except ManifestError as error:
        click.echo(printed(redact(str(error))), err=True)
        count = len(error.problems)
        click.echo(f"{count} problem{'s' if count != 1 else ''}; nothing was rendered.", err=True)
        return error.exit_code
    except LongtakeError as error:
        click.echo(f"error: {printed(redact(str(error)))}", err=True)
        return error.exit_code
    return result if isinstance(result, int) else 0
