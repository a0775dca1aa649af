"""Building a model: exporting an encoder (needs the `train` extra) and fitting heads on it (needs only scikit-learn)."""
