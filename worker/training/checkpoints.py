"""How far a training has come: what is kept after every epoch, so that one that was killed goes on where it was."""

from pathlib import Path

import keras
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import ArtDreamError
from worker.training.config import TrainingConfig


class EpochResult(BaseModel):
    """What an epoch came to."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    loss: float
    #: The share of the validation pictures whose artist was named.
    accuracy: float
    validation_loss: float
    seconds: float


class History(BaseModel):
    """What was trained, from which data, and what each epoch came to."""

    model_config = ConfigDict(frozen=True)

    plan: TrainingConfig
    #: Digest of the data set.
    data: str
    epochs: tuple[EpochResult, ...] = ()

    @property
    def best(self) -> EpochResult | None:
        """The epoch with the best validation, the first of several."""
        return max(self.epochs, key=lambda one: (one.accuracy, -one.validation_loss), default=None)

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or no epoch was better for long."""
        waited = len(self.epochs) - 1 - self.best.epoch if self.best else 0
        return len(self.epochs) >= self.plan.epochs or waited >= self.plan.patience


class Checkpoints:
    """A folder with the diary, the state after its last epoch, and the weights of the best one.

    Files are written beside and then put into place. The diary comes last: what it does not tell of is done again.
    """

    def __init__(self, folder: Path, config: TrainingConfig, data: str) -> None:
        """Take up what lies in a folder, or begin. Raises ArtDreamError where something else was trained there."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            text = self._history_file.read_text(encoding="utf-8") if self._history_file.exists() else None
            self.history = History.model_validate_json(text) if text else History(plan=config, data=data)
        except OSError as error:
            raise ArtDreamError(f"The training cannot be kept in {folder}: {error.strerror}.") from error
        except ValidationError:
            raise ArtDreamError(
                f"{self._history_file} is no diary of a training: delete {folder} to begin anew."
            ) from None
        patient = self.history.plan.model_copy(update={"patience": config.patience})
        if (patient, self.history.data) != (config, data):
            differs = "data" if self.history.data != data else "plan"
            raise ArtDreamError(
                f"In {folder} a training with another {differs} was begun: give the same options as then, "
                "name another --out, or delete the folder to begin anew."
            )
        self.history = self.history.model_copy(update={"plan": config})  # with more patience it may go on

    @property
    def _history_file(self) -> Path:
        return self._folder / "diary.json"

    @property
    def has_trained_head(self) -> bool:
        """Whether there is a state to go on from."""
        return self._state_file(len(self.history.epochs)).exists()

    def restore(self, model: keras.Model) -> None:
        """Give a compiled model its state back. Raises ArtDreamError where the file is damaged."""
        self._load_weights(model, self._state_file(len(self.history.epochs)))

    def save(self, model: keras.Model) -> None:
        """Keep the state, optimiser included, from which the next epoch starts."""
        self._save_weights(model, self._state_file(len(self.history.epochs)))

    def record_epoch(self, model: keras.Model, epoch: EpochResult) -> None:
        """Keep an epoch and the state it left."""
        before = self._state_file(len(self.history.epochs))
        diary = self.history.model_copy(update={"epochs": (*self.history.epochs, epoch)})
        self._save_weights(model, self._state_file(len(diary.epochs)))
        beside = self._history_file.with_suffix(".part")
        beside.write_text(diary.model_dump_json(indent=1), encoding="utf-8")
        beside.replace(self._history_file)
        self.history = diary
        before.unlink(missing_ok=True)

    def is_improvement(self, epoch: EpochResult) -> bool:
        """Tell whether an epoch is better than all before."""
        return History.model_copy(self.history, update={"epochs": (*self.history.epochs, epoch)}).best == epoch

    def save_best(self, model: keras.Model) -> None:
        """Keep the weights of what is the best so far."""
        self._save_weights(model, self._folder / "best.weights.h5")

    def load_best(self, model: keras.Model) -> None:
        """Give a model the best weights. Raises ArtDreamError where the file is damaged."""
        self._load_weights(model, self._folder / "best.weights.h5")

    @property
    def tensorboard_folder(self) -> Path:
        """The folder for TensorBoard."""
        return self._folder / "tensorboard"

    def _state_file(self, epochs: int) -> Path:
        return self._folder / f"after-{epochs:03}.weights.h5"

    def _save_weights(self, model: keras.Model, path: Path) -> None:
        beside = path.with_name(f"part-{path.name}")
        model.save_weights(beside, overwrite=True)
        beside.replace(path)

    def _load_weights(self, model: keras.Model, path: Path) -> None:
        try:
            model.load_weights(path)
        except Exception as error:  # a damaged HDF5 file can raise nearly anything
            raise ArtDreamError(
                f"{path} cannot be read ({str(error).partition(chr(10))[0]}): delete {path.parent} to begin anew."
            ) from error
