"""The one-machine installation of `artdream up`: supervised processes, their health check, and the console report.

Import `Supervisor` from `artdream.stack.supervisor`.
"""
