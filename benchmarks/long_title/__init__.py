"""A long title on a slow object store: what it asks of the store, and how long its workers are silent."""
