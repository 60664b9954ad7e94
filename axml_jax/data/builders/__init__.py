"""Data sets that axml_jax makes by itself: one module each, imported where used."""
