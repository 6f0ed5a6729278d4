"""Programs that paint the project's own pictures. They are not part of the wheel."""
