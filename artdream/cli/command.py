"""How commands are declared: examples, old spellings, and groups that list if no command is named."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

_CommandFunction = TypeVar("_CommandFunction", bound=Callable[..., Any])

#: Ends the help of a `ListGroup`.
LIST_GROUP_HELP = "\n\nWithout a command, it lists them."

#: How an example begins in the help, after the prompt.
_EXAMPLE_PREFIX = "$ "


class Command(TyperCommand):
    """A command whose flags show no type, and whose options may have old spellings."""

    def find_renamed_options(self, args: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002
        """Return the old spellings of options that these arguments may contain, each with the new one."""
        return {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments; print a hint on stderr for each old spelling."""
        renamed = self.find_renamed_options(args)
        for index, argument in enumerate(args):
            name, equals, value = argument.partition("=")
            if name in renamed:
                args[index] = renamed[name] + equals + value
                if not ctx.resilient_parsing:
                    print_message(f"{name} of `{ctx.command_path}` is now called {renamed[name]}.")
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, those of `--help` included."""
        return _hide_flag_types(super().get_params(ctx))


class CommandGroup(TyperGroup):
    """A group of commands whose flags show no type, and whose commands may have old names."""

    #: Old name of a command → the new one.
    renamed_commands: Mapping[str, str] = {}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the first argument names; print a hint on stderr if that is an old name."""
        if new_name := self.renamed_commands.get(args[0]):
            if not ctx.resilient_parsing:
                print_message(f"`{ctx.command_path} {args[0]}` is now called `{ctx.command_path} {new_name}`.")
            args = [new_name, *args[1:]]
        return super().resolve_command(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, those of `--help` included."""
        return _hide_flag_types(super().get_params(ctx))


class ListGroup(CommandGroup):
    """A group that runs `list` if no command is named: `artdream jobs --json` is `artdream jobs list --json`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments."""
        names_no_command = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if names_no_command and not ctx.resilient_parsing:
            args = ["list", *args]
        return super().parse_args(ctx, args)


def command(
    group: typer.Typer, name: str | None = None, *, examples: Sequence[str], cls: type[Command] = Command
) -> Callable[[_CommandFunction], _CommandFunction]:
    """Return a decorator that makes a function a command of a group.

    name: by default the function's. examples: complete invocations, which the help shows.
    """
    heading = "Examples:" if len(examples) > 1 else "Example:"
    epilog = "\n".join([heading, *(_EXAMPLE_PREFIX + example for example in examples)])
    return group.command(name, cls=cls, epilog=epilog)


def read_examples(epilog: str | None) -> list[str]:
    """Return the examples of a command from the end of its help."""
    lines = (epilog or "").splitlines()
    return [line.removeprefix(_EXAMPLE_PREFIX) for line in lines if line.startswith(_EXAMPLE_PREFIX)]


def print_message(sentence: str) -> None:
    """Print a sentence on stderr."""
    Console(stderr=True, highlight=False).print(f"artdream: {sentence}", soft_wrap=True, markup=False)


def _hide_flag_types(parameters: list[Any]) -> list[Any]:
    # Typer shows a flag's type, which is always bool; --help is a flag that Typer itself declares.
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters
