"""A SLURM to run on, and the workflow."""

import pytest
from pipeline import finished, finished_copy, project  # noqa: F401
from slurm import missing, raised
from trainings import pretraining


def cluster_or_skip(folder, accounting: bool = False):
    absent = missing(accounting)
    if absent:
        pytest.skip(f"no SLURM (Debian: apt-get install slurm-wlm munge slurmdbd mariadb-server): {', '.join(absent)}")
    return raised(folder, accounting)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A SLURM without accounting."""
    with cluster_or_skip(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def accounted(tmp_path_factory):
    """A SLURM with accounting."""
    with cluster_or_skip(tmp_path_factory.mktemp("accounted"), accounting=True) as cluster:
        yield cluster


@pytest.fixture
def started(finished_copy, cluster):  # noqa: F811
    """Two trainings on SLURM, to be started."""
    with pretraining(finished_copy, cluster) as trainings:
        yield trainings
