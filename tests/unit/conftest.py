"""Tiny models, their tokenizer and their text, for the tests of what trains, scores and loads."""

from collections.abc import Callable
from pathlib import Path

import pytest

TEXTS = [
    "বৃষ্টি পড়ে টাপুর টুপুর, নদে এল বান।",
    "র‍্যাব-এর গাড়ি ক্ষেতের ধারে; হঠাৎ ঢেউ, দুঃখ, চাঁদ।",
    "மழை பெய்கிறது; க்ஷேமம் எல்லோருக்கும்.",
    "كِتَابٌ جَدِيدٌ على الطاولة، وقلمٌ أزرق.",
    "می‌روم و نمی‌دانم که خانه‌ها کجاست",
]
HEADS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
ROTARY = {**HEADS, "num_key_value_heads": 2, "max_position_embeddings": 256}
# Small windows of attention: at 8 tokens they matter to a document of 20.
SHAPES = {
    "llama": {"model_type": "llama", **ROTARY},
    "qwen2": {"model_type": "qwen2", **ROTARY},
    "gemma3": {
        "model_type": "gemma3_text",
        **ROTARY,
        "head_dim": 8,
        "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "qwen3": {"model_type": "qwen3", **ROTARY, "head_dim": 8},
    "mistral": {"model_type": "mistral", **ROTARY, "sliding_window": 8},
    "xglm": {
        "model_type": "xglm",
        "d_model": 32,
        "ffn_dim": 64,
        "num_layers": 2,
        "attention_heads": 4,
        "max_position_embeddings": 256,
        "layerdrop": 0.0,
    },
}


MASKED_SHAPES = {
    "xlm-roberta": {"pad_token_id": 1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "bert": {"pad_token_id": 0, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "modernbert": {"pad_token_id": 0, "local_attention": 8, "global_attn_every_n_layers": 2},
}


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return TEXTS


@pytest.fixture(scope="session")
def shapes() -> dict[str, dict]:
    return SHAPES


@pytest.fixture(scope="session")
def tokenizer():
    """A byte-level BPE of the texts, with their words whole."""
    from kalam.text.tokens import train_tokenizer

    return train_tokenizer(TEXTS * 4, 360)


@pytest.fixture(scope="session")
def tiny(tokenizer) -> Callable:
    """A causal model of a shape with random weights, in evaluation mode."""
    from kalam.models.scratch import initialise

    def make(shape: str = "llama", seed: int = 0, **changes):
        return initialise({**SHAPES[shape], **changes}, tokenizer, seed).eval()

    return make


@pytest.fixture(scope="session")
def model_folder(tokenizer, tiny, tmp_path_factory) -> Callable:
    """A folder in the hub's layout, with such a model and the tokenizer."""
    from kalam.models.scratch import save

    def make(shape: str = "llama", seed: int = 0, **changes) -> Path:
        folder = tmp_path_factory.mktemp(shape)
        save(tiny(shape, seed, **changes), tokenizer, folder)
        return folder

    return make


@pytest.fixture(scope="session")
def unigram():
    """A Unigram tokenizer of the texts, with a mask."""
    from kalam.text.tokens import train_tokenizer

    return train_tokenizer(TEXTS * 4, 120, "unigram")


@pytest.fixture(scope="session")
def masked_model() -> Callable:
    """A masked model of a shape with random weights, in evaluation mode."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    def make(shape: str = "xlm-roberta", vocabulary: int = 90):
        torch.manual_seed(0)
        config = AutoConfig.for_model(
            shape, **HEADS, vocab_size=vocabulary, max_position_embeddings=128, **MASKED_SHAPES[shape]
        )
        return AutoModelForMaskedLM.from_config(config, dtype=torch.float32).eval()

    return make


@pytest.fixture(scope="session")
def causal(tokenizer):
    """The causal task."""
    from kalam.tasks.causal import Task

    return Task(tokenizer)


@pytest.fixture(scope="session")
def stream(tokenizer):
    """The texts' tokens, document after document."""
    from kalam.text.tokens import encode_documents
    from kalam.training.packing import TokenStream

    return TokenStream.of(encode_documents(tokenizer, TEXTS))


@pytest.fixture(scope="session")
def windows(stream):
    """The texts packed into windows of 16 tokens."""
    from kalam.training.packing import PackedWindows

    return PackedWindows(stream, 16)
