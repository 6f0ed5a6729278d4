"""The dream engine: turns a photo and a recipe into a dream. It depends on no queue, job or broker.

Import `Engine` from `worker.dreaming.engine`. Its interface for the rest of the worker is `worker.dreamer`.
"""
