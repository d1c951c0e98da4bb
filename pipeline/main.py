"""`longtake VERB …`: the commands under one name."""

from __future__ import annotations

import sys

import click

from pipeline import evaluate, gc, plan, render, serve, status, trace, verify, weights
from pipeline.core.command import run_command
from pipeline.credentials_command import command as credentials
from pipeline.detect import command as detect
from pipeline.pages_command import command as pages


@click.group()
@click.version_option(package_name="longtake")
def group() -> None:
    """One portrait and hours of speech in, a long high-resolution video of that portrait speaking out."""


for name, verb in (
    ("render", render.command),
    ("plan", plan.command),
    ("status", status.command),
    ("verify", verify.command),
    ("evaluate", evaluate.command),
    ("pages", pages),
    ("gc", gc.command),
    ("serve", serve.command),
    ("trace", trace.command),
    ("weights", weights.command),
):
    group.add_command(verb, name)


for name, verb in (("detect", detect), ("credentials", credentials)):
    group.add_command(verb, name)


def main() -> None:
    sys.exit(run_command(group, sys.argv[1:]))
