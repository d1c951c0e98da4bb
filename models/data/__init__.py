"""What training reads: drawn takes, speech, and real videos made ready for it."""
