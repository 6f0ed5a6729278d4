"""The reference of the settings, docs/settings.md: `python -m tools.settings_reference` prints it."""

import re
from typing import Any

from shared.settings import ENV_PREFIX, SETTING_GROUPS, Settings

#: The sentence of a description that says what applies without the setting.
_DEFAULT = re.compile(r" Default: (.*?)\.(?= |$)")

INTRODUCTION = f"""\
# Settings

<!-- Generated from shared/settings.py by `make settings`. -->

Every setting is an environment variable, or a line in the file `.env` of the working directory; `.env.example` in the
checkout lists them all. Options of the [command line](command-line.md) take precedence over the environment, the
environment over `.env`, and `.env` over secret files (`{ENV_PREFIX}SECRETS_DIR`). An invalid value is reported in one
sentence that names the variable.
"""


def render_reference() -> str:
    """Return the text of docs/settings.md."""
    lines = [INTRODUCTION]
    for group, names in SETTING_GROUPS.items():
        lines += [f"## {group}", "", "| variable | meaning | default |", "|---|---|---|"]
        for name in names:
            field = Settings.model_fields[name]
            default = _DEFAULT.search(field.description or "")
            cells = (
                f"`{ENV_PREFIX}{name.upper()}`",
                _DEFAULT.sub("", field.description or ""),
                default[1] if default else _format_default(field.default),
            )
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _format_default(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if str(value) else ""


if __name__ == "__main__":
    print(render_reference(), end="")  # noqa: T201
