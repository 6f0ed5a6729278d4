"""Webhooks: tells programs by signed HTTP requests that a dream is completed or a job has failed."""
