"""Monitoring of the running processes, for operators and Prometheus: heartbeats, metrics, logs.

Import the counters from `shared.monitoring.metrics`, `configure_logging` from `shared.monitoring.logs`, and the
registry of live processes from `shared.monitoring.heartbeat`.
"""
