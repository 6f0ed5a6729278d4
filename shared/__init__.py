"""The contracts between the components: jobs, recipes, events, store, settings, queue.

Imports no component. All data that crosses a process boundary is defined here and nowhere else.
"""
