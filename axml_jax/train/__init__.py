"""Training: state, step, optimizer, checkpoints and the loop that joins them."""
