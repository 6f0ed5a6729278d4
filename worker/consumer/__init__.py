"""Everything that touches Celery's or kombu's consumer, public or private: filters, flow control, shutdown, watchdog.

`worker.app` puts the parts together; nothing else in the worker imports from here.
"""
