"""Base models: where they come from, how they are loaded and quantised, their adapters, what they can be asked."""
