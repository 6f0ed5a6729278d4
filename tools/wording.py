"""Check prose with proselint, and for words that this project has better ones for.

Prose is Markdown without its code, the English texts of pages, and docstrings, comments and messages of Python; of
tests docstrings and comments only.
"""

import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from proselint.checks import __register__ as proselint_checks
from proselint.config import DEFAULT
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, types
from proselint.tools import LintFile

#: Regular expressions of words that a reader of the field would stumble over, and what to write instead.
HOUSE_WORDS = {
    r"(?:is|are|was|were|be) away": "is unavailable",
    r"breathes?": "is alive",
    r"call(?:ed|s|ing)? off": "cancel",
    r"(?:go|goes|went|going|gone) on": "continue, resume",
    r"in\s+company": "in one batch",
    r"lapse[sd]?": "expire",
    r"anew": "again, new",
    r"set(?:s|ting)? aside": "reject, keep",
    r"step(?:s|ped)? aside": "yield",
    r"stand(?:s|ing)? still": "not change",
    r"(?:tell|tells|told|telling) apart": "distinguish",
    r"turn(?:s|ed)? away": "reject",
}

HOUSE_CHECK = Check(
    check_type=types.PreferredForms(items=HOUSE_WORDS),
    path="house_words",
    message="Write '{}' instead of '{}'.",
)

#: The checks that are run, by path or its beginning; proselint expects the longest first.
CHECKS = {
    "misc.phrasal_adjectives": False,  # "exactly-once delivery"
    "spelling.consistency": False,  # identifiers are American, prose is British
    **DEFAULT["checks"],
    "dates_times": False,  # there are few dates, but many ranges of numbers
    "typography": False,  # quotation marks around what is typed, ellipses in shapes
    HOUSE_CHECK.path: True,
}

CheckRegistry().register_many((*proselint_checks, HOUSE_CHECK))

#: Between two sentences that do not belong together: no phrase is taken for one that is repeated.
_END = " · "

_DIRECTIVE = re.compile(r"(noqa|type:|pragma|fmt:).*")
_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.MULTILINE | re.DOTALL)
_INDENTED_CODE = re.compile(r"^ {4,}[^ *-].*$", re.MULTILINE)
_TOML_TEXT = re.compile(r'^\S+ = "(.*)"$', re.MULTILINE)
_HEADING = re.compile(r"^(#.*)$", re.MULTILINE)
_INLINE_CODE_OR_TARGET = re.compile(r"`[^`\n]*`|\d+|(?<=\]\()[^)\n]*(?=\))|https?://\S+|<[^>\n]+>")


def extract_prose(path: Path) -> str:
    """Return the prose of a file, each word in its line of the file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        text = _extract_from_python(text, with_messages=path.parts[0] != "tests")
    elif path.suffix == ".toml":
        text = _TOML_TEXT.sub(rf"\1{_END}", text)
    else:
        text = _HEADING.sub(r"\1.", _INDENTED_CODE.sub("", _FENCE.sub(_blank, text)))
    return _INLINE_CODE_OR_TARGET.sub("“X”", text).encode(errors="replace").decode()  # lone surrogates


def _blank(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _extract_from_python(text: str, *, with_messages: bool) -> str:
    tree, prose = ast.parse(text), defaultdict[int, str](str)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        is_docstring, is_message = id(node) in docstrings, with_messages and " " in node.value
        if is_docstring or is_message:
            end = "" if is_docstring else _END
            for number, line in enumerate(node.value.splitlines(), node.lineno):
                prose[number] += f"{line}{end} "
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            prose[token.start[0]] += _END + _DIRECTIVE.sub("", token.string.lstrip("#: ")) + _END
    return "\n".join(prose[number].strip() for number in range(1, text.count("\n") + 2))


def find_faults(path: Path) -> Iterator[str]:
    """Yield a sentence for each fault of a file's prose."""
    if prose := extract_prose(path).rstrip():
        for result in LintFile(str(path), prose).lint({"max_errors": sys.maxsize, "checks": CHECKS}):
            message = " ".join(result.check_result.message.split())
            yield f"{path}:{result.pos[0]}: {message} ({result.check_result.check_path})"


def list_files(paths: Iterable[str]) -> list[Path]:
    """Return the files of prose among the paths and below them."""
    return sorted(
        file
        for path in map(Path, paths)
        for file in ([path] if path.is_file() else path.rglob("*"))
        if file.suffix in {".md", ".py"} or path.is_file()
    )


def main() -> int:
    """Print the faults of the files, and of those in the folders, on the command line; return 1 if there are any."""
    faults = [fault for path in list_files(sys.argv[1:]) for fault in find_faults(path)]
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
