"""One job from its claim to its completion: validation, lease, execution, retries, batches.

Import the processor from `worker.jobs.processor`. Dreams come through `worker.dreamer`, whoever implements it.
"""
