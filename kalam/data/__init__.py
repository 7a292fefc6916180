"""Rows of any kind: chosen, filtered, grouped, split and counted."""
