"""Photo and recipe → dream: objectives, gradients and octaves. It knows no queue, no job and no broker.

Import `Engine` from `worker.dreaming.engine`. Its interface for the rest of the worker is `worker.dreamer`.
"""
