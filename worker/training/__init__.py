"""Training of artist classifiers: data set, training, evaluation, export, and the embedding map."""
