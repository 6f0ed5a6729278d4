"""Jobs from submission to completion: the model, its table in Redis, the Celery queue, and the event stream.

Import `Job` and `Lane` from `shared.jobs.job`, `JobTable` from `shared.jobs.table`, `submit` from `shared.jobs.queue`,
and the events from `shared.jobs.events`.
"""
