"""Words that everything uses: errors, frames and windows, redaction and printing."""
