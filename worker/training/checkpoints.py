"""Checkpoints: the state of a training after every epoch, so that a killed training resumes."""

from pathlib import Path

import keras
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import ArtDreamError
from shared.private_folder import create_private_folder
from worker.training.config import TrainingConfig


class EpochResult(BaseModel):
    """The metrics of a completed epoch."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    loss: float
    #: Share of the validation pictures whose artist was predicted.
    accuracy: float
    validation_loss: float
    seconds: float
    #: Share of the validation pictures whose artist was predicted under attack; None for ordinary training.
    robust_accuracy: float | None = None

    @property
    def score(self) -> float:
        """What the best epoch is chosen by: the accuracy; for adversarial training its product with that under attack.

        Under attack alone, an epoch would win whose accuracy still rises by five points; with the sum, the first, which
        does not withstand the attack at all yet.
        """
        return self.accuracy if self.robust_accuracy is None else self.accuracy * self.robust_accuracy


class History(BaseModel):
    """The configuration and the data of a training, and the metrics of its epochs so far."""

    model_config = ConfigDict(frozen=True)

    plan: TrainingConfig
    #: Digest of the data set.
    data: str
    epochs: tuple[EpochResult, ...] = ()

    @property
    def best(self) -> EpochResult | None:
        """The epoch with the highest score, then lowest validation loss, then number; None without epochs."""
        return max(self.epochs, key=lambda epoch: (epoch.score, -epoch.validation_loss), default=None)

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or the last `patience` epochs brought no improvement."""
        epochs_since_best = len(self.epochs) - 1 - self.best.epoch if self.best else 0
        return len(self.epochs) >= self.plan.epochs or epochs_since_best >= self.plan.patience


class Checkpoints:
    """A folder with the history, the state after the last epoch, and the weights of the best epoch.

    Files are written under a temporary name and renamed. The history is written last: an epoch that is not in it is
    repeated.
    """

    def __init__(self, folder: Path, config: TrainingConfig, data: str) -> None:
        """Resume from a folder, or start in an empty one. Raises ArtDreamError if the folder holds another training.

        data: digest of the data set.
        """
        self._folder = folder
        try:
            create_private_folder(folder)
            text = self._history_file.read_text(encoding="utf-8") if self._history_file.exists() else None
            self.history = History.model_validate_json(text) if text else History(plan=config, data=data)
        except OSError as error:
            raise ArtDreamError(f"The training cannot be kept in {folder}: {error.strerror}.") from error
        except ValidationError:
            raise ArtDreamError(
                f"{self._history_file} is not a training history: delete {folder} to start over."
            ) from None
        resumed_config = self.history.plan.model_copy(update={"patience": config.patience})
        if (resumed_config, self.history.data) != (config, data):
            difference = "data" if self.history.data != data else "plan"
            raise ArtDreamError(
                f"In {folder} a training with another {difference} was begun: give the same options as then, "
                "name another --out, or delete the folder to start over."
            )
        self.history = self.history.model_copy(update={"plan": config})  # the patience may have changed

    @property
    def _history_file(self) -> Path:
        return self._folder / "diary.json"

    @property
    def has_trained_head(self) -> bool:
        """Whether there is a state to resume from."""
        return self._state_file(len(self.history.epochs)).exists()

    def restore(self, model: keras.Model) -> None:
        """Restore the state of a compiled model. Raises ArtDreamError if the file is damaged."""
        load_weights(model, self._state_file(len(self.history.epochs)))

    def save(self, model: keras.Model) -> None:
        """Save the state, including the optimizer, from which the next epoch starts."""
        save_weights(model, self._state_file(len(self.history.epochs)))

    def record_epoch(self, model: keras.Model, epoch: EpochResult) -> None:
        """Save the result of an epoch and the state after it."""
        previous_state = self._state_file(len(self.history.epochs))
        history = self.history.model_copy(update={"epochs": (*self.history.epochs, epoch)})
        save_weights(model, self._state_file(len(history.epochs)))
        temporary_file = self._history_file.with_suffix(".part")
        temporary_file.write_text(history.model_dump_json(indent=1), encoding="utf-8")
        temporary_file.replace(self._history_file)
        self.history = history
        previous_state.unlink(missing_ok=True)

    def is_improvement(self, epoch: EpochResult) -> bool:
        """Return whether an epoch is better than all before."""
        return History.model_copy(self.history, update={"epochs": (*self.history.epochs, epoch)}).best == epoch

    def save_best(self, model: keras.Model) -> None:
        """Save the weights of a model as the best so far."""
        save_weights(model, self._folder / "best.weights.h5")

    def load_best(self, model: keras.Model) -> None:
        """Load the best weights into a model. Raises ArtDreamError if the file is damaged."""
        load_weights(model, self._folder / "best.weights.h5")

    @property
    def tensorboard_folder(self) -> Path:
        """The folder of TensorBoard's logs."""
        return self._folder / "tensorboard"

    def _state_file(self, epochs: int) -> Path:
        return self._folder / f"after-{epochs:03}.weights.h5"


def save_weights(model: keras.Model, path: Path) -> None:
    """Save the weights of a model, and of its optimizer, under a temporary name, and rename the file."""
    temporary_file = path.with_name(f"part-{path.name}")
    model.save_weights(temporary_file, overwrite=True)
    temporary_file.replace(path)


def load_weights(model: keras.Model, path: Path) -> None:
    """Load what `save_weights` saved. Raises ArtDreamError if the file is damaged."""
    try:
        model.load_weights(path)
    except Exception as error:  # a damaged HDF5 file can raise nearly anything
        raise ArtDreamError(
            f"{path} cannot be read ({str(error).partition(chr(10))[0]}): delete {path.parent} to start over."
        ) from error
