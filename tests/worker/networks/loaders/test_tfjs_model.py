"""The weights of a TensorFlow.js model are read out of a package's JavaScript, and anything else is refused."""

import tarfile
from collections.abc import Callable

import numpy as np
import pytest

from shared.errors import ArtDreamError
from tests.worker.networks.npm_packages import MODEL_FOLDER, make_tensors, pack, quantize, write_modules
from worker.networks.loaders import tfjs_model
from worker.networks.loaders.tfjs_model import parse_tensors

FIRST_SHARD = f"{MODEL_FOLDER}/group1-shard1of2.min.js"
MODEL = f"{MODEL_FOLDER}/model.min.js"

Modules = dict[str, str]


def parse(content: bytes) -> dict[str, np.ndarray]:
    return parse_tensors(content, MODEL_FOLDER, source="nsfwjs 4.4.0")


def test_every_tensor_has_the_values_that_tensorflow_js_computes() -> None:
    tensors = make_tensors() | {
        "tiny/kernel": quantize(np.linspace(-3e-9, 5e-9, 256, dtype=np.float32).reshape(1, 1, 16, 16)),
        "whole/bias": quantize(np.arange(-100, 156, dtype=np.float32)),
    }
    parsed = parse(pack(write_modules(tensors)))
    assert list(parsed) == list(tensors)
    for name, values in parsed.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, tensors[name].values)


def replace(module: str, old: str, new: str) -> Callable[[Modules], Modules]:
    def change(modules: Modules) -> Modules:
        assert old in modules[module]
        return modules | {module: modules[module].replace(old, new, 1)}

    return change


def leave_out(module: str) -> Callable[[Modules], Modules]:
    return lambda modules: {name: text for name, text in modules.items() if name != module}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (leave_out(MODEL), r"does not hold model\.min\.js"),
        (leave_out(FIRST_SHARD), r"does not hold group1-shard1of2\.min\.js"),
        (replace(MODEL, "weightsManifest", "weights"), "no weights manifest that can be read"),
        (replace(MODEL, "group1-shard1of2", "../../escape"), "no weights manifest that can be read"),
        (replace(MODEL, 'dtype:"uint8"', 'dtype:"uint16"'), "other tensors than such of 8 bits"),
        (replace(MODEL, "min:-.75", "min:evil()"), "other tensors than such of 8 bits"),
        (replace(MODEL, "batch_normalization_2/beta", "batch_normalization_1/beta"), "names a tensor twice"),
        (replace(MODEL, "shape:[3,3,3,8]", "shape:[3,3,3,9]"), "have 920 bytes, and its weights manifest 947"),
        (replace(FIRST_SHARD, 'exports="', 'exports=atob("'), "not a string in base64"),
        (replace(FIRST_SHARD, 'exports="', 'exports="$'), "not a string in base64"),
        (replace(FIRST_SHARD, 'exports="', 'exports="AAAA";h.exports="'), "not a string in base64"),
        (replace(FIRST_SHARD, 'exports="', 'exports="AAAA'), "have 923 bytes, and its weights manifest 920"),
        (replace(FIRST_SHARD, 'exports="', 'exports="é'), "not a .tgz archive, or a damaged one"),
    ],
)
def test_a_package_that_is_not_such_a_model_is_refused(change: Callable[[Modules], Modules], reason: str) -> None:
    modules = write_modules(make_tensors())
    assert len(modules) == 3
    with pytest.raises(ArtDreamError, match=f"The package nsfwjs 4.4.0 (was refused: .*|is )?{reason}"):
        parse(pack(change(modules)))


def test_a_damaged_archive_is_refused() -> None:
    content = pack(write_modules(make_tensors()))
    for damaged in (b"", b"<html>", content[: len(content) // 2], content[:200] + bytes(100) + content[300:]):
        with pytest.raises(
            ArtDreamError, match=r"nsfwjs 4\.4\.0 (is not a \.tgz archive, or a damaged one|was refused)"
        ):
            parse(damaged)


def test_a_module_that_is_a_link_is_not_followed() -> None:
    link = tarfile.TarInfo(FIRST_SHARD)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(ArtDreamError, match=r"does not hold group1-shard1of2\.min\.js"):
        parse(pack(leave_out(FIRST_SHARD)(write_modules(make_tensors())), [link]))


def test_a_module_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ArtDreamError, match=r"holds group1-shard1of2\.min\.js twice"):
        parse(pack(write_modules(make_tensors()), [tarfile.TarInfo(FIRST_SHARD)]))


def test_a_package_cannot_unpack_to_more_than_a_model_has(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = write_modules(make_tensors())
    content = pack(modules)
    monkeypatch.setattr(tfjs_model, "MAX_MODULES", len(modules))
    monkeypatch.setattr(tfjs_model, "MAX_MODULE_BYTES", max(map(len, modules.values())))
    parse(content)
    monkeypatch.setattr(tfjs_model, "MAX_MODULES", len(modules) - 1)
    with pytest.raises(ArtDreamError, match="larger than those of this format"):
        parse(content)
    monkeypatch.setattr(tfjs_model, "MAX_MODULES", len(modules))
    monkeypatch.setattr(tfjs_model, "MAX_MODULE_BYTES", max(map(len, modules.values())) - 1)
    with pytest.raises(ArtDreamError, match="larger than those of this format"):
        parse(content)
