"""Scripts, normalisation and tokens."""
