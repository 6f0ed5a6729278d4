"""Uploads: photos that reach the display over HTTP, from phones and programs, on their way to the producer.

Import `UploadIntake` from `display.uploads.intake`; only it writes into the folder that the producer empties.
"""
