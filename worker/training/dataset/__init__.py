"""The data set for training: paintings selected, downloaded and split; the same seed gives the same data set."""

from worker.training.dataset.dataset import PARTS, Dataset, Painting

__all__ = ["PARTS", "Dataset", "Painting"]
