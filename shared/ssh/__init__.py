"""One paramiko connection that forwards the broker's port and carries the SFTP store.

Import `open_broker_tunnel` from `shared.ssh.broker_tunnel`; `shared.storage` opens the SFTP store by itself.
"""
