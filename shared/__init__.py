"""The contracts between the parts: jobs, recipes, events, store, settings, queue.

Imports none of the parts. What crosses a process is defined here and nowhere else.
"""
