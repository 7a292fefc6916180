"""From raw sources to splits: fetch, extract, clean, deduplicate, split."""
