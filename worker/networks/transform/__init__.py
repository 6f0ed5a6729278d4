"""Changes to a loaded model that keep what it computes and make its gradient cheaper, or its classes reachable.

Import them by module: `batch_norm_folding`, `class_map`, `flatten`, `frozen_convolution`.
"""
