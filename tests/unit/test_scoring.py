"""What scoring makes of a model: the losses that whole logits give."""

import pytest
import torch

from kalam.models import scoring
from kalam.models.scoring import Scorer
from kalam.models.scratch import initialise
from kalam.text.tokens import IGNORED

GEMMA2 = {
    "model_type": "gemma2",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "final_logit_softcapping": 0.01,
}


@pytest.mark.parametrize("most", [1, 97, 250, scoring.SLICE])
@pytest.mark.parametrize("architecture", ["llama", "gemma2", "xlm-roberta"])
def test_losses_from_slices_of_the_vocabulary_are_those_of_the_whole(
    tiny, masked_model, tokenizer, architecture, most, monkeypatch
):
    monkeypatch.setattr(scoring, "ROWS", 64)
    if architecture == "gemma2":
        model = initialise(GEMMA2, tokenizer, 0).eval()
    else:
        model = masked_model(architecture) if architecture == "xlm-roberta" else tiny(architecture)
    if model.get_output_embeddings().bias is not None:
        torch.nn.init.normal_(model.get_output_embeddings().bias)
    ids = torch.randint(6, 90, (3, 100), generator=torch.Generator().manual_seed(0))
    labels = ids.roll(-1, 1)
    labels[:, ::3] = IGNORED
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[labels != IGNORED].double()
        found = Scorer(model).losses({"input_ids": ids}, labels, most=most)
    whole = torch.nn.functional.cross_entropy(logits, labels[labels != IGNORED], reduction="none")
    assert torch.allclose(found.double(), whole, rtol=1e-5)


def test_a_model_that_caps_its_logits_is_asked_for_hidden_states_once(tokenizer):
    model, calls = initialise(GEMMA2, tokenizer, 0).eval(), []
    model.model.register_forward_hook(lambda *_: calls.append(1))
    one, ids = Scorer(model), torch.randint(6, 90, (1, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first, second = (one.losses({"input_ids": ids}, ids) for _ in range(2))
    assert torch.equal(first, second)
    assert len(calls) == 3  # the hidden states and the logits, then the logits alone
