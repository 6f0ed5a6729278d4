"""Checkpoints of a stylizer's training, so that a killed one resumes."""

from pathlib import Path

import keras
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import ArtDreamError
from shared.private_folder import create_private_folder
from worker.training.checkpoints import load_weights, save_weights
from worker.training.stylizer.config import StylizerConfig


class _Plan(BaseModel):
    """What determines the result of a training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: StylizerConfig
    #: Digest of the pictures.
    pictures: str


class StylizerCheckpoints:
    """A folder with the plan of a training, and its state after the last saved step."""

    def __init__(self, folder: Path, config: StylizerConfig, pictures: str) -> None:
        """Use a folder. Raises ArtDreamError if it holds another training, or cannot be written.

        pictures: digest of the pictures.
        """
        self._folder = folder
        plan_file, plan = folder / "plan.json", _Plan(config=config, pictures=pictures)
        try:
            create_private_folder(folder)
            if not plan_file.exists():
                plan_file.write_text(plan.model_dump_json(indent=1), encoding="utf-8")
            saved_plan = _Plan.model_validate_json(plan_file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ArtDreamError(f"The training cannot be saved in {folder}: {error.strerror}.") from error
        except ValidationError:
            raise ArtDreamError(f"{plan_file} is not the plan of a training: delete {folder} to start over.") from None
        if saved_plan != plan:
            difference = "pictures" if saved_plan.config == config else "options"
            raise ArtDreamError(
                f"In {folder} a training with other {difference} was begun: give the same {difference}, name another "
                "--out, or delete the folder to start over."
            )

    def restore(self, model: keras.Model) -> int:
        """Restore the state of a compiled model, and return the steps that it has done; 0 without a state.

        Raises ArtDreamError if the file is damaged.
        """
        states = self._list_states()
        if not states:
            return 0
        last_step = max(states)
        load_weights(model, states[last_step])
        return last_step

    def save(self, model: keras.Model, step: int) -> None:
        """Save the state after some steps, and delete earlier ones."""
        earlier_states = self._list_states()
        save_weights(model, self._folder / f"after-{step:06}.weights.h5")
        for earlier_step, path in earlier_states.items():
            if earlier_step < step:
                path.unlink()

    def _list_states(self) -> dict[int, Path]:
        return {int(path.name[6:12]): path for path in self._folder.glob("after-??????.weights.h5")}
