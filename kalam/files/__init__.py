"""Files as Kalam keeps them: JSONL, TSV, atomic writes, digests, logs."""
