"""What every test may ask for, and the count of what did not run."""

import os
from collections import Counter
from pathlib import Path

import pytest
from forking import serve_forks

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real texts; a test that needs it is reported as not run where it is absent."""
    folder = Path(os.environ.get("KALAM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real texts (set KALAM_DATA)")
    return folder


def pytest_configure(config):
    # Two workers on two cores: a test that takes every core slows both.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is expected was found on CPUs, and each test's tensors are there
    if not hasattr(config, "workerinput"):
        config.add_cleanup(serve_forks())


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    session.config.not_run = Counter(_reason(report) for report in reporter.stats.get("skipped", []))
    if session.config.not_run and os.environ.get("CI"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config):
    """The last line: what did not run, and why; in CI that fails."""
    not_run = getattr(config, "not_run", None)
    if not_run:
        reasons = "; ".join(f"{count} {reason}" for reason, count in sorted(not_run.items()))
        failure = " (a failure in CI)" if os.environ.get("CI") else ""
        print(f"{sum(not_run.values())} tests did not run{failure}: {reasons}")


def _reason(report) -> str:
    return report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else str(report.longrepr)
