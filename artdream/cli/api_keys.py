"""`artdream api-key`: create, list and revoke keys of the HTTP API."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Self

import typer
from pydantic import BaseModel, ConfigDict, Field
from rich.table import Column

from artdream.cli.command import LIST_GROUP_HELP, ListGroup, command, print_message
from artdream.cli.options import (
    REPEAT_HINT,
    DataOption,
    JsonOption,
    UsageError,
    console,
    load_settings_with_broker,
    print_json,
)
from artdream.cli.tables import PlainTable
from shared.api.keys import DEFAULT_QUOTA_PER_HOUR, ApiKey, ApiKeys, Scope
from shared.broker.client import connect
from shared.storage.store import Store

api_keys = typer.Typer(cls=ListGroup, help=f"Create, list and revoke keys of the HTTP API.{LIST_GROUP_HELP}")

#: What a key may do unless it is said.
DEFAULT_SCOPES = (Scope.READ, Scope.SUBMIT)


class ListedKey(BaseModel):
    """A key in the list."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Id of the key: the submitter of its jobs.")
    name: str = Field(description="Its name.")
    scopes: list[Scope] = Field(description="What it may do.")
    quota_per_hour: int = Field(description="Photos that it may submit in an hour.")
    created_at: float = Field(description="When it was created, in seconds since 1970 (UTC).")
    revoked_at: float | None = Field(description="When it was revoked; null if it is valid.")

    @classmethod
    def from_key(cls, key: ApiKey) -> Self:
        """Return a key without the digest of its secret."""
        return cls.model_validate(key.model_dump(include=set(cls.model_fields)))


@command(
    api_keys,
    "create",
    examples=[
        "artdream api-key create kiosk",
        'artdream api-key create "Night batches" --scope read --scope submit --scope batch --quota 5000/hour',
    ],
)
def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the program that uses the key.")],
    scopes: Annotated[
        list[Scope] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help=f"What the key may do: {', '.join(Scope)}.{REPEAT_HINT}",
            show_default=" ".join(DEFAULT_SCOPES),
        ),
    ] = None,
    quota: Annotated[
        str, typer.Option("--quota", metavar="N/HOUR", help="Photos that it may submit in an hour.")
    ] = f"{DEFAULT_QUOTA_PER_HOUR}/hour",
    data: DataOption = None,
) -> None:
    """Create a key and print it. Only its hash is kept: it is not printed again."""
    match = re.fullmatch("([1-9][0-9]{0,8})/hour", quota)
    if match is None:
        raise UsageError(f"“{quota}” is no quota: write photos per hour, such as 60/hour.")
    with _open_keys(data) as keys:
        _, text = keys.create(name, tuple(dict.fromkeys(scopes or DEFAULT_SCOPES)), int(match[1]))
    print_message("Copy this key to its program now. It is not kept, and not printed again.")
    typer.echo(text)


@command(api_keys, "list", examples=["artdream api-key list", "artdream api-key list --json"])
def list_keys(as_json: JsonOption = False, data: DataOption = None) -> None:
    """List keys with their scopes and quotas, revoked ones too."""
    with _open_keys(data) as keys:
        listed = [ListedKey.from_key(key) for key in keys.list_keys()]
    if as_json:
        print_json(listed)
        return
    names = ("Id", "Scopes", "Quota", "Created", "Revoked")
    table = PlainTable("Name", *(Column(name, no_wrap=True) for name in names))
    for key in listed:
        quota, revoked = f"{key.quota_per_hour}/hour", _format_day(key.revoked_at) if key.revoked_at else ""
        table.add_row(key.name, key.id, "\n".join(key.scopes), quota, _format_day(key.created_at), revoked)
    console.print(table)


@command(api_keys, "revoke", examples=["artdream api-key revoke kiosk"])
def revoke_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the key.")], data: DataOption = None
) -> None:
    """Revoke a key at once, on all displays. Its jobs continue."""
    with _open_keys(data) as keys:
        key = keys.revoke(name)
    console.print(f"Key “{key.name}” ({key.id}) is revoked.", markup=False)


@contextmanager
def _open_keys(data: Path | None) -> Iterator[ApiKeys]:
    with load_settings_with_broker(data=data) as settings, connect(settings.broker) as client:
        yield ApiKeys(client, Store(settings.store))


def _format_day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))
