"""Readers of documents in the formats that people and publishers have, one file a format."""
