"""What operators and Prometheus see of the running processes: heartbeats, metrics, logs.

Import the counters from `shared.monitoring.metrics`, `configure` from `shared.monitoring.logs`, and the registry of
live processes from `shared.monitoring.heartbeat`.
"""
