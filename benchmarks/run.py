"""`python -m benchmarks.run NAME [--json]`: one benchmark, with the machine, the versions and medians."""

from __future__ import annotations

import importlib

import click

BENCHMARKS = {
    name: f"benchmarks.{place}{name}"
    for place, names in {
        "": ("encode", "makespan", "memory", "pipeline", "startup", "store"),
        "networks.": ("audio", "chain", "kernels", "presets", "upscale"),
    }.items()
    for name in names
}


class Benchmarks(click.Group):
    """Each is a module of its own, imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(BENCHMARKS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = BENCHMARKS.get(cmd_name)
        return importlib.import_module(module).main if module else None


@click.group(cls=Benchmarks)
def main() -> None:
    """Measure one part of Longtake on this machine. NAME --help lists what can be chosen."""


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.run")
