"""The benchmark of painters chooses its inputs as it says, keeps its dreams, and reports what it measured."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from artdream.cli.contact_sheet import Cell
from benchmarks.artists import choose_painters, choose_photos, choose_sheet_painters, load_critic
from benchmarks.artists_report import Naming, draw_sheet, summarize_painters
from benchmarks.dream_comparison import DreamComparison, DreamFigures
from benchmarks.dream_metrics import ChangeSpectrum
from benchmarks.kept_dreams import KeptDream, KeptDreams, digest_code
from shared.errors import ArtDreamError
from shared.recipe.painters import PAINTERS
from shared.recipe.recipe import Recipe, load_recipe
from worker.dreamer import DreamResult, Frame
from worker.networks import Networks

PHOTO = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


class CountingDreamer:
    """Dreams by inverting a photo."""

    def __init__(self) -> None:
        self.dreamt: list[str] = []
        self.warm: set[str] = set()

    def warm_up(self, recipe: Recipe) -> None:
        self.warm.add(recipe.name)

    def dream(
        self, photo: np.ndarray, recipe: Recipe, *, seed: int, on_frame: Callable[[Frame], None] | None = None
    ) -> DreamResult:
        assert recipe.name in self.warm
        assert seed == 0
        self.dreamt.append(recipe.name)
        assert on_frame is not None
        for index in range(3):
            on_frame(Frame(index, (index + 1) / 3, photo))
        return DreamResult(255 - photo, "digest", "float32")


def keep(folder: Path, dreamer: CountingDreamer, code_digest: str = "code") -> KeptDreams:
    return KeptDreams(folder, dreamer, code_digest)  # type: ignore[arg-type]


def test_a_dream_is_made_once_and_read_again_by_another_run(tmp_path: Path) -> None:
    dreamer, recipe = CountingDreamer(), load_recipe("animals")
    first = keep(tmp_path, dreamer).dream(PHOTO, recipe, "network")
    again = keep(tmp_path, dreamer).dream(PHOTO, recipe, "network")
    assert dreamer.dreamt == ["animals"]
    np.testing.assert_array_equal(first.pixels, 255 - PHOTO)
    np.testing.assert_array_equal(again.pixels, first.pixels)
    assert (again.seconds, again.first_frame_seconds) == (first.seconds, first.first_frame_seconds)
    assert 0 <= first.first_frame_seconds <= first.seconds


def test_another_photo_recipe_network_or_code_is_dreamt_anew(tmp_path: Path) -> None:
    dreamer, recipe = CountingDreamer(), load_recipe("animals")
    keep(tmp_path, dreamer).dream(PHOTO, recipe, "network")
    keep(tmp_path, dreamer).dream(PHOTO[::-1], recipe, "network")
    keep(tmp_path, dreamer).dream(PHOTO, recipe.model_copy(update={"canvas": 512}), "network")
    keep(tmp_path, dreamer).dream(PHOTO, recipe, "retrained network")
    keep(tmp_path, dreamer, "other code").dream(PHOTO, recipe, "network")
    assert len(dreamer.dreamt) == 5


def test_a_dream_that_was_not_saved_whole_is_dreamt_again(tmp_path: Path) -> None:
    dreamer, recipe = CountingDreamer(), load_recipe("animals")
    keep(tmp_path, dreamer).dream(PHOTO, recipe, "network")
    for facts in tmp_path.glob("*.json"):
        facts.unlink()  # killed after the picture
    keep(tmp_path, dreamer).dream(PHOTO, recipe, "network")
    assert len(dreamer.dreamt) == 2


def test_code_that_dreams_has_a_digest(tmp_path: Path) -> None:
    module = tmp_path / "worker/dreaming/octaves.py"
    module.parent.mkdir(parents=True)
    module.write_text("A = 1")
    before = digest_code(tmp_path)
    (tmp_path / "README.md").write_text("no code")
    assert digest_code(tmp_path) == before
    module.write_text("A = 2")
    assert digest_code(tmp_path) != before


def test_photos_are_spread_over_the_files_of_all_folders(tmp_path: Path) -> None:
    for folder, suffix in (("a", "jpg"), ("b", "HEIC")):
        (tmp_path / folder).mkdir()
        for number in range(4):
            (tmp_path / folder / f"{number}.{suffix}").touch()
    (tmp_path / "a" / "sources.tsv").touch()
    folders = [tmp_path / "a", tmp_path / "b"]
    chosen = [path.relative_to(tmp_path).as_posix() for path in choose_photos(folders, 4)]
    assert chosen == ["a/0.jpg", "a/2.jpg", "b/0.HEIC", "b/2.HEIC"]
    assert len(choose_photos(folders, 12)) == 8
    with pytest.raises(ArtDreamError, match="no JPEG or HEIC photos"):
        choose_photos([tmp_path / "nothing"], 12)


def test_painters_are_chosen_by_number_or_by_name() -> None:
    assert choose_painters(["50"]) == list(PAINTERS)
    assert choose_painters(["10"]) == list(PAINTERS[::5])
    assert choose_painters(["0"]) == []
    assert choose_painters(["paul-klee", "Joan Miró"]) == ["Paul Klee", "Joan Miro"]
    with pytest.raises(ArtDreamError, match="Bob Ross"):
        choose_painters(["Bob Ross"])


def test_the_sheet_shows_the_painters_of_the_house_first() -> None:
    assert "Vincent van Gogh" in choose_sheet_painters(PAINTERS)
    assert len(choose_sheet_painters(PAINTERS)) == 6
    assert choose_sheet_painters(["Titian", "Raphael"]) == ["Titian", "Raphael"]


def test_a_network_that_was_climbed_is_no_critic() -> None:
    networks = Networks(Path("no-weights"), None, "float32")
    digest = networks.load("lite").digest
    with pytest.raises(ArtDreamError, match="judge its own work"):
        load_critic(networks, "lite", {"another name of it": digest})
    assert load_critic(networks, "lite", {"artist/other": "0"}).name == "lite"


def make_figures(photo: str, rank: int, **changes: object) -> DreamFigures:
    ranks = {"judge": rank, "blurred_judge": rank, "texture": rank, "own_texture": rank, "palette": rank}
    figures = DreamFigures(
        photo=photo,
        recipe="more-paul-klee",
        painter="Paul Klee",
        seconds=2.0,
        first_frame_seconds=0.5,
        change=ChangeSpectrum(0.02, 0.01, 0.05),
        fine_color=0.05,
        photo_fine_color=0.004,
        ranks=ranks,
        photo_ranks=dict.fromkeys(ranks, 25),
        has_nearer_palette=True,
    )
    return dataclasses.replace(figures, **changes)  # type: ignore[arg-type]


class FakeWorks:
    painters = PAINTERS
    held_back = dict.fromkeys(
        ("judge", "blurred_judge", "noisy_judge", "texture", "own_texture", "palette"), np.array([1, 1, 1, 20])
    ) | {"fine_color": np.array([0.003])}


class FakeComparison:
    works = FakeWorks()
    critic: object = None


def summarize(figures: list[DreamFigures]) -> dict[str, tuple[str, ...]]:
    return {row.figure: row.cells[1:] for row in summarize_painters(figures, FakeComparison())}  # type: ignore[arg-type]


def test_figures_stand_beside_their_goals() -> None:
    rows = summarize([make_figures("a", 1), make_figures("a", 4), make_figures("b", 1), make_figures("b", 12)])
    by_start = {figure.strip().partition(" ")[0]: cells for figure, cells in rows.items()}
    judge = next(cells for figure, cells in rows.items() if "blurred" in figure)
    assert judge == ("50 % [50, 50] / 75 % [50, 100]", "0 % / 0 %", "75 % / 75 %", "≥ 60 % / ≥ 85 %", "missed")
    change = next(cells for figure, cells in rows.items() if "0.25 cycles/px" in figure)
    assert change == ("0.020", "", "", "≤ 0.03", "reached")
    color = next(cells for figure, cells in rows.items() if "0.2 cycles/px" in figure)
    assert color == ("5.0 %", "0.4 %", "0.3 %", "≤ 1 %", "missed")
    palette = next(cells for figure, cells in rows.items() if "than to 40 of 49 others" in figure)
    assert palette == ("75 %", "", "", "≥ 80 %", "missed")  # rank 12 leaves 38 farther
    texture = next(cells for figure, cells in rows.items() if "Gram" in figure)
    assert texture == ("2.5", "25", "1", "≤ 5", "reached")
    assert by_start["seconds"]


def test_with_a_critic_the_goals_are_those_of_the_critic() -> None:
    class Critic:
        name = "artist/other"

    class CriticComparison(FakeComparison):
        critic = Critic()

    ranks = {"critic": 2, **make_figures("a", 1).ranks}
    figures = [make_figures("a", 1, ranks=ranks, photo_ranks=ranks)]
    rows = {row.figure: row for row in summarize_painters(figures, CriticComparison())}  # type: ignore[arg-type]
    first, *others = (row for figure, row in rows.items() if "names the painter" in figure)
    assert first.figure.startswith("artist/other names")
    assert (first.dreams, first.paintings, first.is_reached) == ("0 % [0, 0] / 100 % [100, 100]", "", False)
    assert [row.is_reached for row in others] == [None, None]
    assert figures[0].verdict == "the critic’s number 2"


def test_a_palette_must_be_nearer_than_the_photo_s_as_well() -> None:
    rows = summarize([make_figures("a", 1), make_figures("a", 10, has_nearer_palette=False)])
    palette = next(cells for figure, cells in rows.items() if "than to 40 of 49 others" in figure)
    assert palette[0] == "50 %"


def test_namings_are_counted() -> None:
    naming = Naming.from_ranks([[1, 5], [6, 1]])
    assert (naming.first.mean, naming.among_five.mean) == (0.5, 0.75)


def test_dreams_that_began_as_noise_have_no_change() -> None:
    recipe = load_recipe("animals")
    dream = KeptDream(255 - PHOTO, 1.0, 0.1)
    compared = DreamComparison("photo", PHOTO, None)
    assert compared.measure(recipe, None, dream).change is not None
    assert compared.measure(recipe.model_copy(update={"start": "noise"}), None, dream).change is None


def test_a_photo_is_compared_at_the_size_of_its_dream() -> None:
    photo = PHOTO.repeat(4, axis=0).repeat(4, axis=1)
    figures = DreamComparison("photo", photo, None).measure(load_recipe("animals"), None, KeptDream(PHOTO, 1.0, 0.1))
    assert figures.photo_fine_color == pytest.approx(figures.fine_color, abs=0.2)


def test_the_sheet_keeps_whole_pictures() -> None:
    portrait = np.full((80, 20, 3), 200, np.uint8)
    sheet = draw_sheet([[Cell("landscape", "", PHOTO), Cell("portrait", "", portrait)]])
    columns = np.flatnonzero((sheet[60] == 200).all(axis=-1))
    assert 0.05 < len(columns) / sheet.shape[1] < 0.12  # a quarter of the width of 60 % of half of the sheet
