"""Data sets that axml_jax makes by itself.  One module per data set; each is imported where used."""
