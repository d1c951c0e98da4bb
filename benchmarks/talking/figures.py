"""Figures beside what they should be."""

from __future__ import annotations

from dataclasses import dataclass

import click


@dataclass(frozen=True)
class Figure:
    name: str
    value: float | str | None
    low: float | None = None
    """The least that is good enough."""
    high: float | None = None

    @property
    def good(self) -> bool | None:
        """None where nothing is asked of it."""
        if self.low is None and self.high is None:
            return None
        if not isinstance(self.value, int | float):
            return False
        return (self.low is None or self.value >= self.low) and (self.high is None or self.value <= self.high)

    def line(self) -> str:
        value = f"{self.value:.3f}" if isinstance(self.value, float) else "-" if self.value is None else str(self.value)
        wanted = " to ".join(f"{limit:g}" for limit in (self.low, self.high) if limit is not None)
        if self.low is None and self.high is not None:
            wanted = f"at most {wanted}"
        elif self.high is None and self.low is not None:
            wanted = f"at least {wanted}"
        said = {None: "", True: "yes", False: "NO"}[self.good]
        return f"  {self.name:<52}{value:>12}  {wanted:<16}{said}".rstrip()


def show(title: str, figures: list[Figure]) -> None:
    click.echo(title)
    for figure in figures:
        click.echo(figure.line())


def missed(figures: list[Figure]) -> int:
    return sum(figure.good is False for figure in figures)


def as_json(figures: list[Figure]) -> list[dict[str, object]]:
    return [
        {"name": one.name, "value": one.value, "low": one.low, "high": one.high, "good": one.good} for one in figures
    ]
