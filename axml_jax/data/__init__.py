"""From text to batches: readers, words, the encoded store, word vectors, batches, data sets."""
