"""Objects and commit records: what has been rendered is a function of these."""
