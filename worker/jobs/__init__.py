"""One job from its claim to its completion: validation, lease, execution, retries, batches.

Import `JobProcessor` from `worker.jobs.processor`. Dreams come from any implementation of `worker.dreamer.Dreamer`.
"""
