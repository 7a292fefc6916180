"""The workflow's fixtures."""

from pipeline import finished, finished_copy, llama_cpp, project  # noqa: F401
