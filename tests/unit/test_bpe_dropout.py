"""Texts of the scripts in other pieces of the same vocabulary."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalam.files.errors import InputError
from kalam.text.bpe_dropout import Rewriter


@pytest.fixture(scope="module")
def rewrite(tokenizer):
    return Rewriter(tokenizer)


def test_without_dropout_it_is_what_the_tokenizer_makes(tokenizer, rewrite, texts):
    for ids in tokenizer(texts)["input_ids"]:
        assert rewrite(ids, 0.0, Random(0)) == ids


def test_with_all_merges_left_out_only_bytes_are_there(tokenizer, rewrite, texts):
    (ids,) = tokenizer(texts[1:2])["input_ids"]
    bare = [token for token in ids if token not in tokenizer.all_special_ids]
    found = rewrite(bare, 1.0, Random(0))
    assert len(found) == len(texts[1].encode("utf-8"))
    assert tokenizer.decode(found) == texts[1]


@settings(max_examples=40, deadline=None)
@given(text=st.text("কখর্‍ািক்ஷெكتَابٌ می‌é a1.\n", max_size=40), seed=st.integers(0, 99), share=st.floats(0, 1))
def test_what_is_said_stays_the_same(tokenizer, rewrite, text, seed, share):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = rewrite(ids, share, Random(seed))
    assert tokenizer.decode(found) == tokenizer.decode(ids) == text
    assert found == rewrite(ids, share, Random(seed))


def test_a_letter_that_is_cut_keeps_its_bytes(tokenizer, rewrite):
    symbols = {byte: symbol for symbol, byte in rewrite.bytes.items()}
    letters = [tokenizer.get_vocab()[symbols[byte]] for byte in "টাপ".encode()]
    for begin in range(3):
        for end in range(len(letters) - 2, len(letters) + 1):
            some = letters[begin:end]
            again = rewrite(rewrite(some, 0.0, Random(0)), 1.0, Random(0))
            assert again == some


def test_special_tokens_stay_where_they_are(tokenizer, rewrite):
    ids = [tokenizer.bos_token_id, *tokenizer("টাপুর টুপুর", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    found = rewrite(ids, 0.9, Random(1))
    assert (found[0], found[-1]) == (ids[0], ids[-1])
    assert len(found) > len(ids)
    assert not {*found[1:-1]} & {*tokenizer.all_special_ids}


def test_half_of_the_merges_left_out_lie_between(tokenizer, rewrite, texts):
    ids = tokenizer(texts[0], add_special_tokens=False)["input_ids"]
    lengths = [len(rewrite(ids, share, Random(0))) for share in (0.0, 0.1, 0.5, 1.0)]
    assert lengths == sorted(lengths) and len({*lengths}) == 4


def test_a_unigram_tokenizer_is_refused(unigram):
    with pytest.raises(InputError, match="bpe_dropout needs a byte-level BPE, not Unigram"):
        Rewriter(unigram)
