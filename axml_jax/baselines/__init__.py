"""Other systems: what they predicted, read from their files."""
