"""Packing, checkpoints and the one training loop."""
