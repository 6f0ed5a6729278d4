"""Paintings to learn from: chosen, fetched, and put in order, so that the same seed gives the same data set."""

from worker.training.dataset.dataset import PARTS, Dataset, Painting

__all__ = ["PARTS", "Dataset", "Painting"]
