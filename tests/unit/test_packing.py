"""Packed windows: every token predicted once, and no document seen by its neighbour."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalam.files.errors import InputError
from kalam.text.tokens import IGNORED
from kalam.training.packing import PackedWindows, TokenStream

SHAPES = ["llama", "qwen2", "gemma3", "mistral", "xglm"]
LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=12).filter(any)
CONTEXT = st.integers(1, 20)
COLUMNS = {"word_starts": bool, "tokens": int, "answer": bool}


def numbered(lengths: list[int]) -> list[list[int]]:
    """Documents whose every token is another number."""
    bounds = np.cumsum([0, *lengths])
    return [list(range(begin, end)) for begin, end in pairwise(bounds.tolist())]


def packed(lengths: list[int], context: int, pad: int = 0) -> PackedWindows:
    return PackedWindows(TokenStream.of(numbered(lengths)), context, pad)


def gathered(windows: PackedWindows) -> dict[str, np.ndarray]:
    """The windows' parts, end to end."""
    return {key: np.concatenate([windows[i][key] for i in range(len(windows))]) for key in windows[0]}


@given(lengths=LENGTHS, context=CONTEXT)
def test_every_token_but_a_first_one_is_predicted_once_from_the_one_before(lengths, context):
    windows = packed(lengths, context)
    every = gathered(windows)
    pairs = [(int(a), int(b)) for a, b in zip(every["input_ids"], every["labels"], strict=True) if b != IGNORED]
    assert pairs == [(a, a + 1) for document in numbered(lengths) for a in document[:-1]]
    assert len(pairs) == windows.targets == sum(max(0, length - 1) for length in lengths)


@given(lengths=LENGTHS, context=CONTEXT)
def test_every_token_that_has_a_follower_is_read_once_in_order_and_padding_comes_last(lengths, context):
    total = sum(lengths)
    every = gathered(packed(lengths, context, pad=-7))
    real = every["document"] >= 0
    size = int(real.sum())
    assert size in (total, total - 1)  # the last token has nothing to predict
    assert real[:size].all()
    assert every["input_ids"][:size].tolist() == list(range(size))
    assert (every["input_ids"][size:] == -7).all()
    assert (every["labels"][size:] == IGNORED).all()
    assert (every["position_ids"][size:] == 0).all()
    assert len(every["input_ids"]) - size < context or total == 1


@given(lengths=LENGTHS, context=CONTEXT)
def test_positions_count_from_a_document_s_or_the_window_s_beginning(lengths, context):
    windows = packed(lengths, context)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    for index in range(len(windows)):
        window, expected = windows[index], []
        for at, document in enumerate(owner[index * context : (index + 1) * context]):
            fresh = at == 0 or owner[index * context + at - 1] != document
            expected.append(0 if fresh else expected[-1] + 1)
        assert window["position_ids"].tolist()[: len(expected)] == expected
        assert all(array.dtype == np.int64 and array.shape == (context,) for array in window.values())


@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.integers(0, 12), min_size=1, max_size=12), marks=st.randoms(use_true_random=False))
def test_documents_written_as_they_come_are_the_bytes_of_the_library(tmp_path_factory, lengths, marks):
    from safetensors.numpy import load_file, save

    path = tmp_path_factory.mktemp("tokens") / "tokens.safetensors"
    documents = [
        {name: [kind(marks.getrandbits(1)) for _ in range(n)] for name, kind in COLUMNS.items()} for n in lengths
    ]
    TokenStream.write(path, iter(documents))
    held = TokenStream.of(
        [d["tokens"] for d in documents], **{c: [d[c] for d in documents] for c in COLUMNS if c != "tokens"}
    )
    arrays = {"tokens": held.tokens, "starts": held.starts, **held.columns}
    assert path.read_bytes() == save(arrays)
    loaded, theirs = TokenStream.load(path), load_file(path)
    assert theirs.keys() == {"starts", *COLUMNS}
    for name, array in {"tokens": loaded.tokens, "starts": loaded.starts, **loaded.columns}.items():
        assert array.dtype == theirs[name].dtype
        assert array.tolist() == theirs[name].tolist() == arrays[name].tolist()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_stream_comes_back_from_its_file(tmp_path):
    stream = TokenStream.of([[5, 6, 7], [8], [], [9, 10]], answer=[[False, True, True], [False], [], [True, True]])
    stream.save(tmp_path / "tokens.safetensors")
    loaded = TokenStream.load(tmp_path / "tokens.safetensors")
    assert loaded.tokens.tolist() == [5, 6, 7, 8, 9, 10]
    assert loaded.starts.tolist() == [0, 3, 4, 4]
    assert loaded.columns["answer"].tolist() == [False, True, True, False, True, True]
    assert (loaded.tokens.dtype, loaded.starts.dtype) == (np.int32, np.int64)
    window = PackedWindows(loaded, 4)[1]
    assert window["answer"].tolist() == [1, 1, 0, 0]
    assert window["document"].tolist() == [3, 3, -1, -1]


@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=8), count=st.integers(1, 12))
def test_shards_of_a_stream_are_joined_to_the_bytes_of_the_whole(tmp_path_factory, lengths, count):
    folder = tmp_path_factory.mktemp("tokens")
    documents = [{"tokens": ids, "answer": [i % 2 == 0 for i in ids]} for ids in numbered(lengths)]
    TokenStream.write(folder / "whole", documents)
    borders = [len(documents) * number // count for number in range(count + 1)]
    for number, (begin, end) in enumerate(pairwise(borders)):
        TokenStream.write(folder / str(number), documents[begin:end])
    TokenStream.join([folder / str(number) for number in range(count)], folder / "joined")
    assert (folder / "joined").read_bytes() == (folder / "whole").read_bytes()


def test_shards_without_any_row_are_told(tmp_path):
    for number in range(2):
        TokenStream.write(tmp_path / str(number), [])
    with pytest.raises(InputError, match=r"train\.safetensors: no row in any of 2 shards"):
        TokenStream.join([tmp_path / "0", tmp_path / "1"], tmp_path / "train.safetensors")


def test_a_document_whose_columns_differ_in_length_is_no_document(tmp_path):
    with pytest.raises(ValueError, match=r"differ in length: \{'tokens': 2, 'answer': 1\}"):
        TokenStream.write(tmp_path / "tokens", [{"tokens": [1, 2], "answer": [True]}])
    assert not [*tmp_path.iterdir()]


def test_nothing_to_predict_is_said_to_be_nothing():
    assert packed([1, 1, 1], 2).targets == 0
    assert packed([4], 2).targets == 3


@settings(deadline=None, max_examples=30)
@given(lengths=LENGTHS, window=st.one_of(st.none(), st.integers(1, 6)))
def test_the_mask_lets_a_position_look_at_the_last_ones_of_its_document(lengths, window):
    import torch

    from kalam.models.attention import block_mask

    document = torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths))[None]
    seen = block_mask(document, window=window)[0, 0] == 0
    for here in range(document.shape[1]):
        first = max(sum(lengths[: document[0, here]]), here - (window or 10**6) + 1)
        assert seen[here].nonzero().flatten().tolist() == list(range(first, here + 1))


@pytest.fixture(scope="module")
def documents():
    """Random documents of 1 to 30 tokens; their window ends in padding."""
    generator = np.random.default_rng(3)
    return [generator.integers(3, 250, length).tolist() for length in (5, 20, 1, 30)]


@pytest.mark.parametrize("shape", SHAPES)
def test_packed_documents_give_the_logits_of_separate_ones(tiny, causal, documents, shape):
    import torch

    model = tiny(shape)
    batch = causal.collate([PackedWindows(TokenStream.of(documents), 64)[0]] * 2, [])
    with torch.no_grad():
        together = causal.logits(model, batch)[1, : sum(map(len, documents))]
        apart = torch.cat([model(input_ids=torch.tensor([ids]), use_cache=False).logits[0] for ids in documents])
    assert (together - apart).abs().max() < 1e-5
    assert apart.std() > 0.01  # or equality would say nothing


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cut_document_gives_the_logits_of_its_parts(tiny, causal, documents, shape):
    import torch

    model, windows = tiny(shape), PackedWindows(TokenStream.of([documents[3]]), 16)
    with torch.no_grad():
        for index in range(2):
            together = causal.logits(model, causal.collate([windows[index]], []))[0]
            part = documents[3][16 * index : 16 * index + 16]
            apart = model(input_ids=torch.tensor([part]), use_cache=False).logits[0]
            assert (together[: len(part)] - apart).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_probe_finds_no_leak(tiny, causal, shape, dtype):
    import torch

    from kalam.training.probes import LEAKAGE, leakage

    model = tiny(shape).to(getattr(torch, dtype)).train()
    assert leakage(model, causal) < LEAKAGE
    assert model.training  # as it was


@pytest.mark.parametrize("shape", SHAPES)
def test_the_probe_finds_the_leak_of_a_model_that_ignores_the_mask(tiny, causal, shape):
    import torch

    from kalam.training.probes import LEAKAGE, leakage

    class Deaf(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model, self.config = model, model.config

        def forward(self, input_ids, position_ids, attention_mask, use_cache):
            return self.model(input_ids=input_ids, use_cache=use_cache)

    model = tiny(shape)
    assert leakage(Deaf(model), causal) > 5 * LEAKAGE


def test_a_window_longer_than_the_model_s_positions_is_refused(tiny, causal, stream, tmp_path):
    from kalam.training.engine import fit
    from kalam.training.recipe import Recipe

    stream.save(tmp_path / "tokens")
    tokens = {"train": tmp_path / "tokens", "validation": tmp_path / "tokens"}
    with pytest.raises(InputError, match=r"training\.context: 65 tokens; allowed are the model's 64 positions"):
        fit(tiny(max_position_embeddings=64), causal, tokens, Recipe(0, 1e-3, 1, context=65, precision="fp32"), None)


def test_a_leaking_model_is_not_trained(tiny, causal, stream, tmp_path, monkeypatch):
    from kalam.training import probes
    from kalam.training.checkpoints import CheckpointFolder
    from kalam.training.engine import fit
    from kalam.training.recipe import Recipe

    stream.save(tmp_path / "tokens")
    monkeypatch.setattr(probes, "leakage", lambda *_: 0.03)
    tokens = {"train": tmp_path / "tokens", "validation": tmp_path / "tokens"}
    with pytest.raises(
        InputError, match=r"llama: cannot be trained here: documents see one another \(logits move by 0\.03\)"
    ):
        fit(
            tiny(), causal, tokens, Recipe(0, 1e-3, 1, context=16, precision="fp32"), CheckpointFolder(tmp_path / "run")
        )
