"""Programs that paint the project's own pictures and write its reference. They are not part of the wheel."""
