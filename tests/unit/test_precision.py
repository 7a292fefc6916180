"""What `auto` means on a device, and that nothing else decides it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kalam.models import precision
from kalam.models.precision import autocast, compute_dtype, settled

ROOT = Path(__file__).resolve().parents[2]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.fixture
def device(tmp_path, monkeypatch):
    """Pretend a machine: its device files, whether torch finds a GPU, and whether that has bf16."""

    def pretend(files: list[str], gpu: bool, bf16: bool = False) -> None:
        for name in files:
            (tmp_path / name).touch(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0" if "lent" in files else "")
        monkeypatch.setattr(precision, "DEVICES", tmp_path)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)

    return pretend


@pytest.mark.parametrize(
    ("files", "gpu", "bf16", "expected"),
    [
        (["nvidia0", "nvidiactl"], True, True, "bf16"),
        (["nvidia0"], True, False, "fp16"),
        (["kfd"], True, True, "bf16"),
        (["nvidia-smi"], True, True, "bf16"),
        (["lent"], True, True, "bf16"),
        (["nvidia0"], False, False, "fp32"),  # hidden by CUDA_VISIBLE_DEVICES
        (["nvme0", "nvram"], False, False, "fp32"),
        ([], False, False, "fp32"),
    ],
)
def test_auto_is_the_best_of_the_device(device, files, gpu, bf16, expected):
    device(files, gpu, bf16)
    assert settled("auto") == expected
    assert [settled(name) for name in DTYPES] == list(DTYPES)


def test_where_no_gpu_can_be_torch_is_not_loaded(tmp_path):
    code = (
        "import sys; from pathlib import Path; from kalam.models import precision;"
        f"precision.DEVICES = Path({str(tmp_path)!r}); print(precision.settled('auto'), 'torch' in sys.modules)"
    )
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["fp32", "False"]


@pytest.mark.parametrize("name", DTYPES)
def test_a_settled_precision_is_a_dtype_and_an_arithmetic(name):
    assert compute_dtype(name) == DTYPES[name]
    with autocast(name, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == DTYPES[name]


def test_what_is_not_settled_is_refused():
    for use in (compute_dtype, lambda name: autocast(name, torch.device("cpu"))):
        with pytest.raises(KeyError):
            use("auto")
