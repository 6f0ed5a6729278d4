"""The documentation: its commands are those of the command line, its links lead somewhere, its settings exist."""

import re
import shlex
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
import typer

from shared.settings import ENV_PREFIX, Settings
from tests.artdream.cli.test_command import parse

ROOT = Path(__file__).parents[1]

#: Pages that people read, without those about the past.
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts),
    *(ROOT / "deploy").rglob("README.md"),
]

#: Variables that look like settings: of the tests, of Compose, and of Prometheus.
OTHER_VARIABLES = {"CHROMIUM", "CONTAINERS", "BROKER_PASSWORD", "STORE_SECRET", "WORKER_MEMORY", "GPUS", "TLS"}


def name_page(page: Path) -> str:
    return str(page.relative_to(ROOT))


#: Placeholders, and options that end every command.
SYNOPSIS = re.compile(r"\[OPTIONS\]|…|COMMAND|--help|--version|-completion")

#: A command line of `artdream`, after variables and in whatever folder it lies.
COMMAND_LINE = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\S*/)?artdream ([^|#]+)")


def find_commands(lines: Iterable[str]) -> list[list[str]]:
    """Return the arguments of the commands of `artdream` among some lines."""
    commands = filter(None, (COMMAND_LINE.match(" ".join(line.split())) for line in lines))
    return [shlex.split(command[1]) for command in commands if not SYNOPSIS.search(command[1])]


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_every_command_can_be_called_as_written(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for arguments in find_commands(re.findall(r"^ {4}(.+)$", text, re.MULTILINE)):
        parse(monkeypatch, *arguments)
    for arguments in find_commands(re.findall(r"`([^`\n]+)`", text)):
        with suppress(typer.BadParameter):  # it is mentioned by name
            parse(monkeypatch, *arguments)


@pytest.mark.parametrize(
    "page", [*PAGES, *(ROOT / "docs" / "decisions").glob("*.md"), ROOT / "CHANGELOG.md"], ids=name_page
)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith(("http://", "https://", "#")):
            assert (page.parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    names = set(re.findall(rf"\b{ENV_PREFIX}([A-Z][A-Z_]+[A-Z])\b", page.read_text(encoding="utf-8")))
    assert names - OTHER_VARIABLES <= {name.upper() for name in Settings.model_fields}


def test_every_extra_is_listed_and_no_other() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    section = (ROOT / "docs" / "scaling.md").read_text().partition("| extra | for |\n")[2]
    names = [name for line in section.splitlines()[1:] for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(names) == sorted(extras)
