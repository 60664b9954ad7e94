"""Other systems: rivals that are no Flax modules, and what anybody predicted, from files."""
