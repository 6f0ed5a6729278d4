"""Loaders: read network files as Keras models, after each file is verified.

Each module reads one kind: Keras Applications, `.keras` files of artists, EfficientNet-Lite from a PyTorch file.
"""
