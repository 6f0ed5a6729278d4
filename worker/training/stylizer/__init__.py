"""Train a stylizer, the network of the mirror: it learns to paint in one pass what painters' recipes do in many steps.

Import `train_stylizer` from `trainer`, `StylizerConfig` from `config`, and `export_stylizer` from `export`.
"""
