"""Accepted photos until they are submitted: the ledger of known files, the outbox on disk, and its relay.

Import `Ledger` from `producer.outbox.ledger`, `OutboxRelay` from `producer.outbox.relay`.
"""
