"""The reference of the command line, docs/command-line.md: `python -m tools.command_line` prints it."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer
from pydantic import BaseModel

from artdream.cli.api_keys import ListedKey
from artdream.cli.checks import CheckResult
from artdream.cli.command import read_examples
from artdream.cli.explain import ExitCode, Explanation
from artdream.cli.jobs import JobSummary
from artdream.cli.main import ERROR_EXIT_CODE, INTERRUPT_EXIT_CODE, PANELS, USAGE_EXIT_CODE, app
from artdream.cli.networks import ListedNetwork
from artdream.cli.numbers import NumbersDocument
from artdream.cli.recipes import ListedRecipe
from artdream.cli.status import Status
from artdream.cli.webhooks import ListedEndpoint

#: Command → model of the JSON that it prints; in a list: an array of such objects. Importing the model of `evaluate`
#: would load TensorFlow.
JSON_MODELS: dict[str, type[BaseModel] | list[type[BaseModel]] | None] = {
    "status": Status,
    "numbers": NumbersDocument,
    "jobs list": [JobSummary],
    "jobs show": JobSummary,
    "doctor": [CheckResult],
    "explain": [Explanation],
    "api-key list": [ListedKey],
    "webhook list": [ListedEndpoint],
    "recipes list": [ListedRecipe],
    "networks list": [ListedNetwork],
    "evaluate": None,
    "deploy check": [CheckResult],
}

INTRODUCTION = f"""\
# Command line

<!-- Generated from artdream/cli by `make command-line`. -->

`artdream COMMAND --help` explains each command. An option takes precedence over the setting of the same name
([.env.example](../.env.example)). An option marked with `…` can be repeated; `--recipe` also takes names with commas.

## Exit codes

| code | meaning |
|---|---|
| 0 | Success. `up`, `watch`, `worker` and `display` also end with 0 if Ctrl-C or SIGTERM stops them. |
| {ERROR_EXIT_CODE} | An error, in one sentence on stderr; or a failed check, or a photo without a dream. |
| {USAGE_EXIT_CODE} | Wrong usage: an unknown command or option, an invalid value, or options that exclude each other. |
| {ExitCode.NOT_A_DREAM} | `explain`: a file is no dream of ArtDream. |
| {ExitCode.CONTRADICTED} | `explain`: a dream was changed, its signature is not valid, or rendering differs. |
| {INTERRUPT_EXIT_CODE} | Interrupted with Ctrl-C before the command was done. |

## JSON

With `--json` a command prints one JSON document on stdout and nothing else; exit codes and errors stay the same. Later
versions may add keys. The commands that have it:
{", ".join(f"`{name}`" for name in JSON_MODELS)}.

    artdream jobs list --state failed --json | jq -r '.[] | "\\(.id) \\(.reason)"'

## Shell completion

`artdream --install-completion` installs completion for the shell that it is called from: bash, zsh, fish or PowerShell.
It completes commands, options, and the names of recipes, networks, lanes and states.
"""


def render_reference() -> str:
    """Return the text of docs/command-line.md."""
    root: Any = typer.main.get_command(app)
    sections = [INTRODUCTION]
    for panel, names in PANELS.items():
        sections.append(f"## {panel}\n")
        for name in names:
            sections += _render_command(root.commands[name], name)
    return "\n".join(sections)


def _render_command(command: Any, name: str) -> Iterator[str]:
    yield f"### artdream {name}\n"
    yield "\n\n".join(" ".join(paragraph.split()) for paragraph in command.help.split("\n\n")) + "\n"
    if subcommands := getattr(command, "commands", None):
        for subcommand_name, subcommand in subcommands.items():
            yield from _render_command(subcommand, f"{name} {subcommand_name}")
        return
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    yield f"    artdream {' '.join([name, *map(_render_argument, arguments), '[OPTIONS]'])}\n"
    if rows := [_render_row(parameter) for parameter in command.params if not parameter.hidden]:
        yield "\n".join(["| argument or option | meaning | default |", "|---|---|---|", *rows]) + "\n"
    examples = read_examples(command.epilog)
    yield (
        "\n".join([f"Example{'s' if len(examples) > 1 else ''}:\n", *(f"    {example}" for example in examples)]) + "\n"
    )
    if name in JSON_MODELS:
        yield from _render_json(JSON_MODELS[name])


def _render_json(document: type[BaseModel] | list[type[BaseModel]] | None) -> Iterator[str]:
    if document is None:
        yield "JSON: an object with the fields of `Evaluation` in worker/training/evaluation.py.\n"
        return
    model = document[0] if isinstance(document, list) else document
    yield f"JSON: {'an array of objects' if isinstance(document, list) else 'an object'} with these keys.\n"
    keys = [f"| `{key}` | {field.description} |" for key, field in model.model_fields.items()]
    yield "\n".join(["| key | meaning |", "|---|---|", *keys]) + "\n"


def _render_argument(argument: Any) -> str:
    text = f"{argument.metavar}{'…' if argument.nargs != 1 else ''}"
    return text if argument.required else f"[{text}]"


def _render_row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = _render_argument(parameter)
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar}"
        name = f"{parameter.opts[0]}{value}{'…' if parameter.multiple else ''}"
    return f"| `{name}` | {parameter.help} | {_render_default(parameter)} |"


def _render_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    return "" if default is None or default is False else str(default)


if __name__ == "__main__":
    print(render_reference(), end="")  # noqa: T201
