"""How many threads a job may use."""

import os


def use_threads(count: int) -> None:
    """Give the job as many threads as its rule was granted; call it before torch is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
