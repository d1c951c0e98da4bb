"""The scheduler, pure: events in, commands out; it knows titles and workers as numbers alone."""
