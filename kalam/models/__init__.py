"""Where a base model comes from, how it is quantised, and its adapters."""
