"""`artdream train-stylizer` writes a network that OpenCV reads, with its description and a contact sheet."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from shared.stylizer import GRAPH_FILE, METADATA_FILE, StylizerMetadata
from tests.pictures import make_picture
from tests.stack import run_artdream, run_in_process

PAINTERS = ("Paul Klee", "Edvard Munch")

COMMAND = (
    "train-stylizer",
    *("--pictures", "photos", "--out", "stylizer", "--steps", "2", "--batch", "1", "--sheet", "sheet.png"),
    *(word for painter in PAINTERS for word in ("--painter", painter)),
)


@pytest.mark.slow
def test_a_stylizer_is_trained_from_a_folder_of_photos(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        make_picture(number).save(tmp_path / "photos" / f"{number}.jpg")
    training = run_artdream(*COMMAND, folder=tmp_path)
    assert (training.returncode, training.stderr) == (0, "")
    assert "3 pictures, 2 styles." in training.stdout
    assert "step 2 of 2: loss " in training.stdout
    metadata = StylizerMetadata.model_validate_json((tmp_path / "stylizer" / METADATA_FILE).read_bytes())
    assert metadata.styles == PAINTERS
    assert metadata.command.startswith("artdream train-stylizer --pictures photos")
    network = cv2.dnn.readNetFromONNX(np.fromfile(tmp_path / "stylizer" / GRAPH_FILE, np.uint8))
    assert not network.empty()
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > sheet.height * 0.9  # three columns and three rows


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("--pictures", "nowhere"), "There are no pictures in nowhere"),
        (("--judge", "lite"), "The network lite has no style statistics"),
        (("--out", "photos/0.jpg"), "The folder photos/0.jpg cannot be created"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    (tmp_path / "photos").mkdir()
    make_picture(0).save(tmp_path / "photos" / "0.jpg")
    training = run_in_process(*COMMAND, *change, folder=tmp_path)
    assert training.returncode == 1
    assert sentence in training.stderr
