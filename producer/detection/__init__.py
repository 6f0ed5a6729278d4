"""File detection: watched folders, guest uploads, and the check that a new file is complete.

Import `WatchedFolder` from `producer.detection.watched_folder`, `GuestUploadFolder` from
`producer.detection.guest_uploads`.
"""
