"""Extensions of Celery's and kombu's consumer, by public or private API: filter, flow control, shutdown, watchdog.

`worker.app` assembles them; no other module of the worker imports from here.
"""
