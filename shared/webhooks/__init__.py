"""Webhooks: where a program wants to be told of jobs, and which messages are still to be delivered."""
