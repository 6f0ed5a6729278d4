"""Accepted photos until they are submitted: the outbox on disk, and the relay that empties it.

Import `Outbox` from `producer.outbox.outbox`, and `OutboxRelay` from `producer.outbox.relay`.
"""
