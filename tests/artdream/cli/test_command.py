"""Every command: its panel, its examples, which really work, and old spellings, which work with a hint."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from rich import markup

from artdream.cli.command import read_examples
from artdream.cli.main import PANELS, app

#: Characters of a terminal, less the prompt and the margins of the help.
EXAMPLE_WIDTH = 100


def list_commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, groups included."""
    yield name, command
    for subcommand_name, subcommand in getattr(command, "commands", {}).items():
        yield from list_commands(subcommand, f"{name} {subcommand_name}".strip())


def parse(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Parse a command line as `artdream` does. Returns the command that it would run, and the values of its options."""
    root = typer.main.get_command(app)
    runs: list[tuple[str, dict[str, Any]]] = []
    for full_name, command in list_commands(root):
        if not hasattr(command, "commands"):
            monkeypatch.setattr(command, "callback", lambda _name=full_name, **values: runs.append((_name, values)))
    root.main(list(arguments), prog_name="artdream", standalone_mode=False)
    [run] = runs
    return run


COMMANDS = [
    (name, command) for name, command in list_commands(typer.main.get_command(app)) if not hasattr(command, "commands")
]


def test_every_command_is_in_a_panel() -> None:
    commands: dict[str, Any] = dict(typer.main.get_group(app).commands)
    assert list(commands) == [name for names in PANELS.values() for name in names]
    assert {name: command.rich_help_panel for name, command in commands.items()} == {
        name: panel for panel, names in PANELS.items() for name in names
    }


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_has_examples_that_work(name: str, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = read_examples(command.epilog)
    assert 1 <= len(examples) <= 2
    for example in examples:
        program, *arguments = shlex.split(example)
        assert program == "artdream"
        assert parse(monkeypatch, *arguments)[0] == name
        assert len(example) < EXAMPLE_WIDTH
        assert markup.render(example).plain == example


def test_help_loses_no_words_and_marks_what_may_be_repeated_once() -> None:
    """Seen failing with “may be given again [both].”: Rich took the brackets for markup."""
    for _, command in list_commands(typer.main.get_command(app)):
        for text in filter(None, [command.help, *(getattr(parameter, "help", "") for parameter in command.params)]):
            assert markup.render(text).plain == text
        for parameter in command.params:
            assert not set("[]….") & set(parameter.metavar or ""), "the command line adds them"


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_options_show_words_for_their_values_and_flags_none(name: str, command: Any) -> None:
    """Seen failing with `--json <bool>` and `--data <path>`."""
    with command.make_context(name, [], resilient_parsing=True) as context:
        options = [parameter for parameter in command.get_params(context) if parameter.param_type_name == "option"]
        assert "--help" in [option.opts[0] for option in options]
        for option in options:
            assert option.metavar == "" if option.is_flag else option.metavar.isupper(), option.opts
            assert option.help.endswith("."), option.opts


def test_a_group_without_a_command_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    for group in ("jobs", "recipes", "networks"):
        assert parse(monkeypatch, group) == parse(monkeypatch, group, "list")
        assert parse(monkeypatch, group, "--json") == parse(monkeypatch, group, "list", "--json")
    assert parse(monkeypatch, "jobs", "--state", "failed") == parse(monkeypatch, "jobs", "list", "--state", "failed")


@pytest.mark.parametrize(
    ("old", "new", "hints"),
    [
        (
            "train --data paintings --out artist/mine",
            "train --dataset paintings --out artist/mine",
            ["--data of `artdream train` is now called --dataset."],
        ),
        (
            "train --data=paintings --installation=here --out artist/mine",
            "train --dataset=paintings --data=here --out artist/mine",
            [
                "--data of `artdream train` is now called --dataset.",
                "--installation of `artdream train` is now called --data.",
            ],
        ),
        (
            "evaluate lite --installation here --data paintings",
            "evaluate lite --data here --dataset paintings",
            [
                "--installation of `artdream evaluate` is now called --data.",
                "--data of `artdream evaluate` is now called --dataset.",
            ],
        ),
        (
            "embed lite --dataset paintings --installation here",
            "embed lite --dataset paintings --data here",
            ["--installation of `artdream embed` is now called --data."],
        ),
        (
            "styles lite --data paintings",
            "styles lite --dataset paintings",
            ["--data of `artdream styles` is now called --dataset."],
        ),
        (
            "train --dataset paintings --out mine --licence MIT",
            "train --dataset paintings --out mine --license MIT",
            ["--licence of `artdream train` is now called --license."],
        ),
        (
            "dataset organise paintings data --side 96",
            "dataset organize paintings data --side 96",
            ["`artdream dataset organise` is now called `artdream dataset organize`."],
        ),
    ],
)
def test_an_old_spelling_works_and_a_hint_names_the_new_one(
    old: str, new: str, hints: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parsed = parse(monkeypatch, *shlex.split(new))
    assert capsys.readouterr().err == ""
    assert parse(monkeypatch, *shlex.split(old)) == parsed
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [f"artdream: {hint}" for hint in hints]


def test_data_means_the_installation_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with `artdream train --data`, which meant the data set."""
    helps = {
        option.help for _, command in COMMANDS for option in command.params if getattr(option, "opts", []) == ["--data"]
    }
    assert len(helps) == 1
    _, values = parse(monkeypatch, *shlex.split("train --dataset paintings --out artist/mine --data here"))
    assert str(values["dataset_folder"]) == "paintings"
    assert str(values["data"]) == "here"


def test_a_missing_data_set_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        app(["train", "--out", "artist/mine"], prog_name="artdream")
    assert exit_info.value.code == 2
    assert "--dataset" in capsys.readouterr().err


def test_recipe_may_be_repeated_wherever_it_is() -> None:
    recipe_options = [option for _, command in COMMANDS for option in command.params if "--recipe" in option.opts]
    assert len(recipe_options) == 6
    assert all(option.multiple for option in recipe_options)
