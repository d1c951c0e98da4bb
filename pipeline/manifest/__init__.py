"""What may be asked for: the manifest, its options, every mistake with its place."""
