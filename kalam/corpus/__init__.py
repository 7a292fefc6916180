"""Documents: read from their sources, extracted, cleaned, merged without duplicates, counted."""
