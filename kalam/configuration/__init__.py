"""The configuration: defaults, checks, documentation, all from one schema."""
