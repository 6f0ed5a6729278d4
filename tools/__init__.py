"""Programs that paint the project's own pictures. Not part of the wheel."""
