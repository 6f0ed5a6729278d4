"""Transformations of a loaded model that keep its function: cheaper gradients, or class logits at each position.

Import them by module: `batch_norm_folding`, `class_map`, `flatten`, `frozen_convolution`.
"""
