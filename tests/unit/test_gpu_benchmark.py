"""The arithmetic of benchmarks/gpu.py; what it measures is nobody's to assert."""

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.gpu_training import examples_of, random_documents
from kalam.text.tokens import IGNORED


def test_a_frozen_weight_costs_four_operations_a_token_and_a_trained_one_six():
    assert gpu.flops_per_token(1_500_000_000, 0) == 6_000_000_000
    assert gpu.flops_per_token(0, 10) == 60


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("Tesla T4", 65e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA RTX A4000", None),
        ("cpu", None),
    ],
)
def test_the_peak_is_that_of_the_card_or_unknown(device, peak):
    assert gpu.peak_flops(device) == peak


def test_utilisation():
    assert gpu.utilisation(10_000, 6e9, 600e12) == 0.1
    assert gpu.utilisation(10_000, 6e9, None) is None


def test_packing_is_looked_at_in_one_context_and_the_trainer_in_all():
    assert set(gpu.ways_at(2048, "real")) == set(gpu.WAYS)
    for context in (512, 1024, 4096):
        assert gpu.ways_at(context, "real") == ("kalam", "trainer, one document", "trainer, packed")
    assert all({one, other} <= gpu.WAYS.keys() for one, other in gpu.RATIOS.values())


def test_ratios_are_of_turns_side_by_side_and_want_both():
    full = {"out_of_memory": "CUDA out of memory"}
    turns = {
        "kalam": [{"tokens_per_second": 30.0}, {"tokens_per_second": 20.0}, {"tokens_per_second": 90.0}],
        "trainer, one document": [{"tokens_per_second": 10.0}, full, {"tokens_per_second": 45.0}],
        "trainer, packed": [full] * 3,
    }
    assert gpu.ratios(turns) == {"engine": 2.5}


def test_a_goal_is_met_by_a_gpu_only_and_missed_where_memory_ran_out():
    def rows(kalam, ratios, reduced):
        shapes = {"a": {"contexts": {"512": {}, "2048": {"ways": {"kalam": kalam}, "ratios": ratios}}}}
        return {row["goal"]: row["met"] for row in gpu.goals(shapes, reduced)}

    fits = {"peak_gb": 15.9}
    assert rows(fits, {"engine": 1.4, "packing": 2.6}, False) == {"peak_gb": True, "engine": False, "packing": True}
    assert rows(fits, {"engine": 1.4, "packing": 2.6}, True) == dict.fromkeys(("peak_gb", "engine", "packing"))
    assert rows({"out_of_memory": ""}, {}, False) == {"peak_gb": False, "engine": None, "packing": None}


@pytest.mark.parametrize("shape", gpu.SHAPES.values())
def test_the_heads_of_a_small_shape_fit_its_width(shape):
    from transformers import AutoConfig

    config = AutoConfig.for_model(**gpu.small(shape))
    assert config.vocab_size == shape["vocab_size"] // 8
    if "head_dim" not in shape:
        assert config.hidden_size % config.num_attention_heads == 0


def test_every_way_reads_the_same_documents():
    documents = random_documents([3, 40, 130], 4 * 64 + 1, 100)
    assert sum(map(len, documents)) == 4 * 64 + 1
    packed = examples_of("packed", documents, 64, 2)
    assert len(packed) == 4
    for kind in ("single", "like"):
        examples = examples_of(kind, documents, 64, 2)
        rows = np.concatenate([example["input_ids"][example["attention_mask"] == 1] for example in examples])
        pieces = [ids[begin : begin + 64] for ids in documents for begin in range(0, len(ids), 64)]
        assert sorted(rows.tolist()) == sorted(token for piece in pieces if len(piece) > 1 for token in piece)
        assert all(example["input_ids"].size <= 2 * 64 for example in examples)
        for example in examples:
            kept = example["labels"] != IGNORED
            assert (example["labels"][:, :-1][kept[:, :-1]] == example["input_ids"][:, 1:][kept[:, :-1]]).all()
            assert kept.sum() == example["attention_mask"].sum() - len(kept)
