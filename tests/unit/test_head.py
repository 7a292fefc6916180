"""The loss without its logits: the plain one, its gradients, and the models it is not for."""

import pytest
import torch

from kalam.models import head
from kalam.models.head import Head, cross_entropy
from kalam.text.tokens import IGNORED
from kalam.training.probes import probe

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


def both(model, ids, labels):
    """The plain and the chunked loss, each with the gradients of every weight it reaches."""
    found = []
    for loss in (
        lambda: cross_entropy(model(input_ids=ids).logits, labels),
        lambda: Head(model).chunked({"input_ids": ids}, labels),
    ):
        model.zero_grad()
        total = loss()
        total.backward()
        found.append((total.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    return found


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shape", ["llama", "qwen2", "gemma3", "mistral", "xglm"])
def test_the_chunked_loss_and_its_gradients_are_the_plain_ones(tiny, shape, tied):
    model = tiny(shape, tie_word_embeddings=tied)
    ids = torch.randint(0, 250, (3, 40), generator=torch.Generator().manual_seed(0))
    labels = ids.roll(-1, 1)
    labels[:, ::3] = IGNORED
    (one, gradients), (other, others) = both(model, ids, labels)
    assert torch.allclose(one, other, rtol=1e-6)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, others[name], rtol=1e-4, atol=1e-5), name


def test_a_head_with_a_bias(masked_model):
    model = masked_model()
    assert model.get_output_embeddings().bias is not None
    ids = torch.randint(6, 90, (2, 20), generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(model.get_output_embeddings().bias)
    (one, gradients), (other, others) = both(model, ids, ids.clone())
    assert torch.allclose(one, other, rtol=1e-6)
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, others[name], rtol=1e-4, atol=1e-5), name


def test_large_logits_are_never_made(tiny, causal, windows, monkeypatch):
    model = tiny()
    batch = causal.collate([windows[0], windows[1]], [])
    expected, _ = causal.loss(model, batch)
    monkeypatch.setattr(head, "LARGE", 0)
    sizes = []
    hook = model.lm_head.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape)))
    found, _ = causal.loss(model, batch)
    hook.remove()
    assert sizes[0] == (2, 1, model.config.vocab_size)
    assert sum(rows for rows, *_ in sizes[1:]) == int((batch["labels"] != IGNORED).sum())
    assert torch.allclose(found, expected, rtol=1e-6)


def test_a_batch_without_a_label_costs_nothing(tiny):
    labels = torch.full((1, 8), IGNORED)
    total = Head(tiny()).chunked({"input_ids": torch.zeros(1, 8, dtype=torch.int64)}, labels)
    assert float(total) == 0


def test_a_model_that_caps_its_logits_goes_without(tokenizer, causal, caplog):
    from kalam.models.scratch import initialise
    from kalam.tasks.causal import Task

    task = Task(tokenizer)
    with caplog.at_level("INFO"):
        probe(initialise(GEMMA2, tokenizer, 0), task)
    assert not task.chunked
    assert "the logits are kept whole" in caplog.text


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_the_losses_are_added_up_in_whole(tiny, dtype):
    """A sum in bf16 is off by a tenth after 1,500 tokens, one in fp16 is infinite after 8,000."""
    model = tiny(max_position_embeddings=4096)
    ids = torch.randint(0, 250, (8, 512), generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.autocast("cpu", dtype):
        whole = cross_entropy(model(input_ids=ids).logits, ids)
        found = Head(model).chunked({"input_ids": ids}, ids, size=36_000)
    assert found.dtype == torch.float32
    assert torch.allclose(found, whole, rtol=1e-4)


def test_a_head_with_an_adapter_of_its_own(tiny, causal, windows):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        tiny(tie_word_embeddings=False), LoraConfig(target_modules=["lm_head"], init_lora_weights=False)
    )
    batch = causal.collate([windows[0]], [])
    whole = cross_entropy(causal.logits(model, batch), batch["labels"])
    assert torch.allclose(Head(model).chunked(causal.inputs(model, batch), batch["labels"]), whole, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2000, head.LARGE])
@pytest.mark.parametrize("architecture", ["llama", "xglm", "gemma2", "xlm-roberta"])
def test_labels_are_scored_some_at_a_time(tiny, masked_model, tokenizer, architecture, size):
    from kalam.models.scratch import initialise

    if architecture == "gemma2":
        model = initialise(GEMMA2, tokenizer, 0).eval()
    else:
        model = masked_model(architecture) if architecture == "xlm-roberta" else tiny(architecture)
    ids = torch.randint(6, 90, (3, 20), generator=torch.Generator().manual_seed(0))
    labels = ids.roll(-1, 1)
    labels[:, ::3] = IGNORED
    kept, sizes = labels != IGNORED, []
    layer = model.get_output_embeddings()
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[kept]
        hook = layer.register_forward_hook(lambda _, __, output: sizes.append(output.numel()))
        losses, right = Head(model).score({"input_ids": ids}, labels, size)
        hook.remove()
    assert torch.allclose(losses, torch.nn.functional.cross_entropy(logits, labels[kept], reduction="none"), rtol=1e-5)
    assert torch.equal(right, logits.argmax(-1) == labels[kept])
    if architecture != "gemma2":  # after the first position of each window, which shows what the head does
        vocabulary = layer.weight.shape[0]
        assert max(sizes[2:]) <= max(size, vocabulary)
        assert sum(sizes[2:]) == int(kept.sum()) * vocabulary
