"""One paramiko connection that forwards the broker's port and carries the SFTP store.

Import `reached` from `shared.ssh.broker_tunnel`; `shared.storage` opens the SFTP store by itself.
"""
