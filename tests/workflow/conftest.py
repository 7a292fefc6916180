"""The workflow's fixtures."""

from pipeline import finished, finished_copy, project  # noqa: F401
