"""Rivals that are no Flax modules."""
