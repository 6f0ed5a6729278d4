"""The figures of an evaluation are those of scikit-learn, on predictions of all kinds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from worker.networks.network import Network, Prediction, softmax
from worker.training.evaluation import CALIBRATION_BINS, Evaluation

CLASS_COUNT = 12


def predict_at_random(seed: int) -> tuple[Evaluation, Any, Any]:
    """Return an evaluation, the true classes and the predicted probabilities; some classes do not occur."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASS_COUNT - 3, 200)
    logits = rng.normal(size=(200, CLASS_COUNT)) * rng.uniform(0.5, 4)
    logits[np.arange(200), labels] += rng.uniform(0, 3)
    probabilities = softmax(logits.astype(np.float32))
    classes = tuple(f"Artist {index}" for index in range(CLASS_COUNT))
    network = Network("artist/random", "0" * 64, None, (), classes=classes)
    prediction = Prediction(np.zeros((200, 1), np.float32), probabilities)
    files = [Path(f"{index}.jpg") for index in range(200)]
    return Evaluation.from_prediction(network, prediction, labels, files), labels, probabilities


@pytest.mark.parametrize("seed", range(5))
def test_the_shares_of_right_predictions_are_those_of_scikit_learn(seed: int) -> None:
    evaluation, labels, probabilities = predict_at_random(seed)
    predicted = probabilities.argmax(axis=1)
    classes = np.arange(CLASS_COUNT)
    assert evaluation.top1 == pytest.approx(accuracy_score(labels, predicted))
    assert evaluation.top5 == pytest.approx(top_k_accuracy_score(labels, probabilities, k=5, labels=classes))
    assert np.array_equal(evaluation.matrix, confusion_matrix(labels, predicted, labels=classes))


@pytest.mark.parametrize("seed", range(5))
def test_the_scores_of_each_artist_are_those_of_scikit_learn(seed: int) -> None:
    evaluation, labels, probabilities = predict_at_random(seed)
    predicted, occurring = probabilities.argmax(axis=1), np.unique(labels)
    expected = precision_recall_fscore_support(labels, predicted, labels=occurring, zero_division=0)
    scores = [(score.precision, score.recall, score.f1, score.pictures) for score in evaluation.artists]
    assert np.allclose(np.transpose(scores), expected)
    assert evaluation.macro_f1 == pytest.approx(f1_score(labels, predicted, labels=occurring, average="macro"))


@pytest.mark.parametrize("seed", range(5))
def test_the_calibration_error_is_that_of_scikit_learn_s_curve(seed: int) -> None:
    evaluation, labels, probabilities = predict_at_random(seed)
    confidences, is_correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(is_correct, confidences, n_bins=CALIBRATION_BINS)
    counts, _ = np.histogram(confidences, CALIBRATION_BINS, (0, 1))
    expected = np.abs(accuracy - confidence) @ counts[counts > 0] / len(labels)
    assert evaluation.calibration_error == pytest.approx(expected, rel=1e-4)
