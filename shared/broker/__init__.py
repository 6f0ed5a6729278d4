"""Connections to Redis or Valkey: the clients, the permissions that their user needs, and the checks at start-up.

Import `connect` and the exceptions from `shared.broker.client`; commands start with `shared.broker.preflight`.
"""
