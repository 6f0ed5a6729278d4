"""Several scripts as one, for a Streamlit component."""

from collections.abc import Iterator

import pytest

from display.web import script_bundle
from display.web.script_bundle import bundle_scripts


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Keep what these tests bundle from other tests, which bundle the wall itself."""
    bundle_scripts.cache_clear()
    yield
    bundle_scripts.cache_clear()


def components(monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Let these be the scripts there are: `wall__a` stands for `wall/a.js`."""
    named = {f"{name.replace('__', '/')}.js": text for name, text in scripts.items()}
    monkeypatch.setattr(script_bundle, "read_component", named.__getitem__)


def test_a_module_comes_once_and_after_what_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    components(
        monkeypatch,
        wall__wall='import { A } from "./a.js";\nimport { b } from "../common/b.js";\nexport default function f() {}\n',
        wall__a='import { b } from "../common/b.js";\n\nexport class A {}\n',
        common__b="export const b = 1;\nexport let c = 2;\nexport async function d() {}\nexport function e() {}\n",
    )
    common = "const b = 1;\nlet c = 2;\nasync function d() {}\nfunction e() {}\n"
    assert bundle_scripts("wall/wall.js") == f"{common}\nclass A {{}}\n\nexport default function f() {{}}\n"


def test_words_in_comments_and_texts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '// import { a } from "./a.js";\n/** @typedef {import("./a.js").A} A */\nconst text = "export const";\n'
    components(monkeypatch, wall__wall=text)
    assert bundle_scripts("wall/wall.js") == text


@pytest.mark.parametrize(
    "line",
    [
        'import a from "./a.js";',
        'import * as a from "./a.js";',
        'import { a as b } from "./a.js";\nimport "./a.js";',
        'import "./a.js";',
        'import { a } from "somewhere";',
        'import {\n  a,\n} from "./a.js";',
        "export { a };",
        'export * from "./a.js";',
        "export default class {}",
    ],
)
def test_what_cannot_be_bundled_is_refused(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    components(monkeypatch, wall__wall=f"{line}\n", wall__a="export const a = 1;\n")
    with pytest.raises(ValueError, match=r"wall/wall\.js: cannot bundle `(import|export)"):
        bundle_scripts("wall/wall.js")


def test_only_the_entry_has_a_default_export(monkeypatch: pytest.MonkeyPatch) -> None:
    components(
        monkeypatch,
        wall__wall='import { a } from "./a.js";\n',
        wall__a="export const a = 1;\nexport default function () {}\n",
    )
    with pytest.raises(ValueError, match=r"wall/a\.js: only the entry"):
        bundle_scripts("wall/wall.js")


def test_modules_that_import_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    components(
        monkeypatch,
        wall__wall='import { a } from "./a.js";\n',
        wall__a='import { b } from "./b.js";\nexport const a = 1;\n',
        wall__b='import { a } from "./a.js";\nexport const b = 1;\n',
    )
    with pytest.raises(ValueError, match=r"wall/a\.js imports itself, by way of wall/b\.js"):
        bundle_scripts("wall/wall.js")
