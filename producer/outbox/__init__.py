"""Accepted photos until they are submitted: the ledger of known files, the outbox on disk, and its relay.

Import `Ledger` from `producer.outbox.ledger`, and the relay from `producer.outbox.relay`.
"""
