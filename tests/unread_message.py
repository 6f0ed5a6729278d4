"""A message for jobs that are queued, and that no worker of a test fetches."""

from shared.jobs.state_machine import QueueMessage

#: Goes into a list that is none of a lane's.
UNREAD_MESSAGE = QueueMessage(("unread",), 0, "", "")
