"""The console: the operator's page for status, dreams, errors and runtime settings."""
