"""Honest measures: perplexity, floors, intervals, tables, plots."""
