"""Network files → Keras models, checked before anything is read from them.

Each module reads one kind: Keras applications, `.keras` files of artists, EfficientNet-Lite from a torch file.
"""
