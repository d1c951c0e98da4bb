"""`longtake credentials init | show FILE`: an identity to sign with, and what a file says of itself."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from pipeline.core.errors import OutputError, UserError
from pipeline.provenance.credentials import read_credentials
from pipeline.provenance.signing_identity import CERTIFICATE, KEY, made_up


@click.group()
def command() -> None:
    """Content credentials (C2PA): who signs finished files, and what files say of themselves."""


@command.command()
@click.option("--to", "folder", default="longtake-credentials", show_default=True, help="Folder for the two files.")
@click.option("--name", default="longtake", show_default=True, help="Name of the signer.")
def init(folder: str, name: str) -> None:
    """Make a test identity: a key and a certificate that nobody vouches for."""
    if not 1 <= len(name) <= 64:
        raise UserError(f"--name: {len(name)} characters; 1 to 64 fit into a certificate")
    place, who = Path(folder), made_up(name)
    certificate, key = place / "certificate.pem", place / "key.pem"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(who.key)
        with certificate.open("xb") as file:
            file.write(who.certificate)
    except FileExistsError as error:
        raise OutputError(
            f"{error.filename}: is there already; remove it, or choose another folder with --to"
        ) from None
    except OSError as error:
        raise OutputError(f"{place}: cannot be written ({error.strerror}); choose another folder with --to") from None
    click.echo(f"wrote {certificate} and {key} (keep the key secret)")
    click.echo(f"export {CERTIFICATE}={certificate.resolve()}")
    click.echo(f"export {KEY}={key.resolve()}")
    click.echo(
        "This is a test identity: viewers will show the credentials as whole, but call the signer untrusted. "
        "For publishing, get a certificate for C2PA signing from an authority on the C2PA trust list."
    )


@command.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(file: str, as_json: bool) -> None:
    """What FILE, a video, says of itself; exit 0 if its credentials are whole, 1 if there are none or they are not."""
    found = read_credentials(Path(file))
    if as_json:
        click.echo(json.dumps(found.said() | {"facts": found.facts}))
    elif found.state == "none":
        click.echo(f"{file}: no content credentials")
    else:
        trust = {"valid": "valid, signer untrusted", "trusted": "valid, signer trusted"}.get(found.state, "INVALID")
        click.echo(f"{file}: {trust}; signed by {found.signer or 'nobody'}")
        for text in found.faults:
            click.echo(f"  {text}")
        click.echo(f"  source type: {found.source_type or 'not said'}")
        click.echo(f"  made from: {', '.join(found.ingredients) or 'nothing named'}")
    sys.exit(0 if found.good else 1)
