"""`artdream c2pa-key`: make the key with which an installation signs its dreams."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from artdream.cli.options import console
from shared.errors import ArtDreamError
from shared.settings import ENV_PREFIX


def c2pa_key(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write key and certificate to.")],
    organization: Annotated[
        str, typer.Option("--organization", metavar="NAME", help="Name in the certificate, which everybody can read.")
    ],
) -> None:
    """Make a key and a certificate to sign dreams with (C2PA). No authority confirms the name in it."""
    write_key(folder, organization, console)


def write_key(folder: Path, organization: str, console: Console) -> None:
    """Write a key and its certificates, and print how they are used. Raises ArtDreamError if that is impossible."""
    try:
        from shared.provenance.key import make_key
    except ImportError as error:
        raise ArtDreamError("Making a key needs a library that is not installed: install `artdream[c2pa]`.") from error
    if not 0 < len(organization.strip()) <= 64:
        raise ArtDreamError("The name of the organization has 1 to 64 letters: choose another --organization.")
    key, certificate = make_key(folder, organization.strip())
    console.print(f"{ENV_PREFIX}C2PA_KEY={key.absolute()}", soft_wrap=True, markup=False)
    console.print(f"{ENV_PREFIX}C2PA_CERTIFICATE={certificate.absolute()}", soft_wrap=True, markup=False)
