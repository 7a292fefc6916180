"""Trained runs as files for others: merged models and GGUF, each proved equal to what was trained."""
