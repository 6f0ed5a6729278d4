"""Object storage: photos, dreams, sidecars and tombstones in a folder, over SFTP, or in a bucket.

Import `Store` from `shared.storage.store`, and the names of objects from `shared.storage.object_names`.
"""
