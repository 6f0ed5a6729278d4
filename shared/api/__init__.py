"""The HTTP API's contracts: keys, quotas, the jobs of each key, and what requests and responses hold.

Import from the modules.
"""
