"""Which files are new, and which are complete: watched folders, files that guests upload, and files that still grow.

Import `Folder` from `producer.detection.watched_folder`, `GuestUploads` from `producer.detection.guest_uploads`.
"""
