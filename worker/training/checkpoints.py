"""How far a training has come: what is kept after every epoch, so that one that was killed goes on where it was."""

from pathlib import Path

import keras
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import ArtDreamError
from worker.training.config import Plan


class Epoch(BaseModel):
    """What an epoch came to."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    loss: float
    #: The share of the validation pictures whose artist was named.
    accuracy: float
    validation_loss: float
    seconds: float


class Diary(BaseModel):
    """What was trained, from which data, and what each epoch came to."""

    model_config = ConfigDict(frozen=True)

    plan: Plan
    #: Digest of the data set.
    data: str
    epochs: tuple[Epoch, ...] = ()

    @property
    def best(self) -> Epoch | None:
        """The epoch with the best validation, the first of several."""
        return max(self.epochs, key=lambda one: (one.accuracy, -one.validation_loss), default=None)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or no epoch was better for long."""
        waited = len(self.epochs) - 1 - self.best.epoch if self.best else 0
        return len(self.epochs) >= self.plan.epochs or waited >= self.plan.patience


class Progress:
    """A folder with the diary, the state after its last epoch, and the weights of the best one.

    Files are written beside and then put into place. The diary comes last: what it does not tell of is done again.
    """

    def __init__(self, folder: Path, plan: Plan, data: str) -> None:
        """Take up what lies in a folder, or begin. Raises ArtDreamError where something else was trained there."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            text = self._diary.read_text(encoding="utf-8") if self._diary.exists() else None
            self.diary = Diary.model_validate_json(text) if text else Diary(plan=plan, data=data)
        except OSError as error:
            raise ArtDreamError(f"The training cannot be kept in {folder}: {error.strerror}.") from error
        except ValidationError:
            raise ArtDreamError(f"{self._diary} is no diary of a training: delete {folder} to begin anew.") from None
        patient = self.diary.plan.model_copy(update={"patience": plan.patience})
        if (patient, self.diary.data) != (plan, data):
            differs = "data" if self.diary.data != data else "plan"
            raise ArtDreamError(
                f"In {folder} a training with another {differs} was begun: give the same options as then, "
                "name another --out, or delete the folder to begin anew."
            )
        self.diary = self.diary.model_copy(update={"plan": plan})  # with more patience it may go on

    @property
    def _diary(self) -> Path:
        return self._folder / "diary.json"

    @property
    def head_learned(self) -> bool:
        """Whether there is a state to go on from."""
        return self._state(len(self.diary.epochs)).exists()

    def resume(self, model: keras.Model) -> None:
        """Give a compiled model its state back. Raises ArtDreamError where the file is damaged."""
        self._load(model, self._state(len(self.diary.epochs)))

    def keep(self, model: keras.Model) -> None:
        """Keep the state, optimiser included, from which the next epoch starts."""
        self._save(model, self._state(len(self.diary.epochs)))

    def add(self, model: keras.Model, epoch: Epoch) -> None:
        """Keep an epoch and the state it left."""
        before = self._state(len(self.diary.epochs))
        diary = self.diary.model_copy(update={"epochs": (*self.diary.epochs, epoch)})
        self._save(model, self._state(len(diary.epochs)))
        beside = self._diary.with_suffix(".part")
        beside.write_text(diary.model_dump_json(indent=1), encoding="utf-8")
        beside.replace(self._diary)
        self.diary = diary
        before.unlink(missing_ok=True)

    def improves(self, epoch: Epoch) -> bool:
        """Tell whether an epoch is better than all before."""
        return Diary.model_copy(self.diary, update={"epochs": (*self.diary.epochs, epoch)}).best == epoch

    def keep_best(self, model: keras.Model) -> None:
        """Keep the weights of what is the best so far."""
        self._save(model, self._folder / "best.weights.h5")

    def load_best(self, model: keras.Model) -> None:
        """Give a model the best weights. Raises ArtDreamError where the file is damaged."""
        self._load(model, self._folder / "best.weights.h5")

    @property
    def log(self) -> Path:
        """The folder for TensorBoard."""
        return self._folder / "tensorboard"

    def _state(self, epochs: int) -> Path:
        return self._folder / f"after-{epochs:03}.weights.h5"

    def _save(self, model: keras.Model, path: Path) -> None:
        beside = path.with_name(f"part-{path.name}")
        model.save_weights(beside, overwrite=True)
        beside.replace(path)

    def _load(self, model: keras.Model, path: Path) -> None:
        try:
            model.load_weights(path)
        except Exception as error:  # a damaged HDF5 file can raise nearly anything
            raise ArtDreamError(
                f"{path} cannot be read ({str(error).partition(chr(10))[0]}): delete {path.parent} to begin anew."
            ) from error
