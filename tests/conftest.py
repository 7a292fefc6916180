"""What every test may ask for: the real texts and pages, where they exist."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real texts; a test that needs it is reported as not run where it is absent."""
    folder = Path(os.environ.get("KALAM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real texts: set KALAM_DATA (looked in {folder.name}/)")
    return folder
