"""Base models and adapters: exact gradients on 4-bit weights, what is trainable, what comes back, what is refused."""

import copy
import json
from types import SimpleNamespace

import pytest
import torch
from bitsandbytes.functional import has_avx512bf16
from bitsandbytes.nn import Linear4bit
from lora import LORA

from kalam.files.errors import InputError
from kalam.models import loading
from kalam.models.adapters import INITIALISATIONS, add_lora, continue_lora, merge, unfreeze
from kalam.models.loading import load_adapted, load_base
from kalam.tasks.causal import Task
from kalam.training.packing import PackedWindows

CAUSAL = Task(SimpleNamespace(pad_token_id=0))
WIDE = {"hidden_size": 64, "intermediate_size": 128}


@pytest.fixture(scope="module")
def folder(model_folder):
    return model_folder("llama", **WIDE)


@pytest.fixture(scope="module")
def batch(stream):
    windows = PackedWindows(stream, 16)
    return CAUSAL.collate([windows[0], windows[1]], [])


def trained(model, batch, steps: int = 3):
    """The model after some steps, so that its adapter is not the zero it begins as."""
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    for _ in range(steps):
        optimiser.zero_grad()
        loss, count = CAUSAL.loss(model.train(), batch)
        (loss / count).backward()
        optimiser.step()
    return model.eval()


def save_run(model, folder) -> None:
    """Leave an adapter as a run does."""
    model.save_pretrained(folder / "adapter")
    (folder / "meta.json").write_text('{"identity": {"kind": "adapter"}}')


def gradient(model, batch) -> torch.Tensor:
    """The gradient of the loss by every trainable weight, in one vector."""
    model.zero_grad()
    loss, _ = CAUSAL.loss(model.train(), batch)
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


def moved_by_an_evaluation(folder, batch) -> float:
    """How far, relatively, an evaluation forward moves the gradients of an adapter on NF4 weights."""
    model = trained(add_lora(load_base({"folder": folder}, "nf4"), LORA, 0, False), batch)
    before = gradient(model, batch)
    with torch.no_grad():
        CAUSAL.logits(model.eval(), batch)
    return float((gradient(model, batch) - before).norm() / before.norm())


def test_an_evaluation_moves_no_gradient_on_nf4_weights(folder, batch):
    assert moved_by_an_evaluation(folder, batch) == 0


def test_without_the_guard_it_does_where_the_processor_has_the_trap(folder, batch, monkeypatch):
    monkeypatch.setattr(loading, "keep_gradients_exact", lambda _: None)
    assert (moved_by_an_evaluation(folder, batch) > 0.5) == (has_avx512bf16() and not torch.cuda.is_available())


@pytest.mark.parametrize("shape", ["llama", "qwen2", "gemma3", "xglm"])
def test_only_the_adapter_is_trainable_and_on_every_linear_layer_but_the_head(model_folder, batch, shape):
    model = add_lora(load_base({"folder": model_folder(shape)}, "nf4"), LORA, 0, False)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable
    assert all(".lora_A." in name or ".lora_B." in name for name in trainable)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    linear = {name for name, module in model.named_modules() if isinstance(module, Linear4bit)}
    assert len(linear) >= 12
    assert {name.split(".lora_")[0] + ".base_layer" for name in trainable} == linear
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trained(model, batch, 1)
    assert {name for name, p in model.named_parameters() if not torch.equal(p, before[name])} <= trainable


def test_the_quantised_weights_are_nf4_and_near_the_whole_ones(folder, batch):
    whole, quantised = load_base({"folder": folder}), load_base({"folder": folder}, "nf4")
    layer = quantised.model.layers[0].mlp.up_proj
    assert (layer.weight.quant_type, layer.weight.compress_statistics) == ("nf4", True)
    with torch.no_grad():
        difference = CAUSAL.logits(quantised, batch) - CAUSAL.logits(whole, batch)
    assert 0 < difference.abs().max() < 0.1
    assert not whole.training
    assert not any(p.requires_grad for p in whole.parameters())


def test_a_fresh_adapter_changes_nothing_and_its_seed_decides_it(folder, batch):
    base = load_base({"folder": folder})
    with torch.no_grad():
        before = CAUSAL.logits(base, batch)
    models = [add_lora(copy.deepcopy(base), LORA, seed, False) for seed in (1, 1, 2)]
    first, same, other = (torch.cat([p.flatten() for n, p in m.named_parameters() if "lora_A" in n]) for m in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    with torch.no_grad():
        assert torch.equal(CAUSAL.logits(models[0].eval(), batch), before)


@pytest.mark.parametrize("quantisation", ["nf4", "none"])
def test_a_trained_adapter_comes_back_from_its_folder(folder, batch, tmp_path, quantisation):
    model = trained(add_lora(load_base({"folder": folder}, quantisation), LORA, 0, False), batch)
    save_run(model, tmp_path)
    loaded = load_adapted({"folder": folder, "remote_code": False}, tmp_path, quantisation)
    with torch.no_grad():
        expected, found = CAUSAL.logits(model, batch), CAUSAL.logits(loaded, batch)
        with loaded.disable_adapter():
            base = CAUSAL.logits(loaded, batch)
    assert torch.allclose(found, expected, atol=1e-6)
    assert (base - expected).abs().max() > 1e-3
    assert not loaded.training


@pytest.mark.parametrize("quantisation", ["nf4", "none"])
def test_gradient_checkpointing_is_on_where_it_is_asked_for_and_changes_nothing(folder, batch, quantisation):
    gradients = []
    for asked in (True, False):
        model = add_lora(load_base({"folder": folder}, quantisation), LORA | {"dropout": 0.3}, 0, asked)
        layers = [m for m in model.modules() if hasattr(m, "gradient_checkpointing")]
        assert any(layer.gradient_checkpointing for layer in layers) == asked
        torch.manual_seed(1)
        gradients.append(gradient(model, batch))
    assert torch.equal(*gradients)
    assert gradients[0].norm() > 0


def test_a_base_that_is_not_quantised_keeps_its_precision(folder):
    model = add_lora(load_base({"folder": folder}, "none", "bf16"), LORA, 0, False)
    dtypes = {(p.requires_grad, p.dtype) for p in model.parameters()}
    assert dtypes == {(True, torch.float32), (False, torch.bfloat16)}


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["v_proj", "q_proj"]])
def test_named_targets_are_taken_and_written_in_one_order(folder, tmp_path, targets):
    model = add_lora(load_base({"folder": folder}), LORA | {"targets": targets}, 0, False)
    layers = {name.split(".lora_")[0].split(".")[-1] for name, p in model.named_parameters() if p.requires_grad}
    assert layers == {"q_proj", "v_proj"}
    save_run(model, tmp_path)
    assert json.loads((tmp_path / "adapter/adapter_config.json").read_text())["target_modules"] == ["q_proj", "v_proj"]


def test_one_target_may_be_a_name_without_a_list(folder):
    model = add_lora(load_base({"folder": folder}), LORA | {"targets": "q_proj"}, 0, False)
    assert model.peft_config["default"].target_modules == ["q_proj"]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["q_proj", "query"], "lora.targets: the model has no module named query"),
        ("proj", "lora.targets: the model has no module named proj"),
        (["norm"], "lora: Target module .* is not supported"),
    ],
)
def test_targets_that_cannot_be_are_refused_in_one_line(folder, targets, message):
    with pytest.raises(InputError, match=message) as error:
        add_lora(load_base({"folder": folder}), LORA | {"targets": targets}, 0, False)
    assert "\n" not in str(error.value)


def test_what_is_no_model_is_refused_in_one_line(folder, tmp_path):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    for content in (None, b"half", (folder / "model.safetensors").read_bytes()[:5000]):
        if content is not None:
            (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="no CausalLM model that can be loaded") as error:
            load_base({"folder": tmp_path})
        assert "\n" not in str(error.value)
    (tmp_path / "config.json").write_text('{"model_type": "no such thing"}')
    with pytest.raises(InputError, match="no CausalLM model that can be loaded"):
        load_base({"folder": tmp_path})


@pytest.mark.parametrize(
    "settings",
    [{"rslora": True}, {"dora": True}, {"initialisation": "gaussian"}, {"initialisation": "orthogonal"}],
    ids=str,
)
@pytest.mark.parametrize("quantisation", ["nf4", "none"])
def test_every_kind_of_adapter_is_trained_and_comes_back(folder, batch, tmp_path, settings, quantisation):
    base = {"folder": folder, "adapter": None}
    plain = add_lora(load_base(base, quantisation), LORA, 0, False)
    model = add_lora(load_base(base, quantisation), LORA | settings, 0, False)
    for one in (plain, model):
        trained(one, batch)
    save_run(model, tmp_path)
    with torch.no_grad():
        expected = CAUSAL.logits(model, batch)
        assert torch.allclose(CAUSAL.logits(load_adapted(base, tmp_path, quantisation), batch), expected, atol=1e-5)
        assert not torch.allclose(CAUSAL.logits(plain, batch), expected, atol=1e-5)


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_an_adapter_begins_as_its_base(folder, batch, initialisation):
    """And as the same one each time."""
    with torch.no_grad():
        expected = CAUSAL.logits(load_base({"folder": folder}), batch)
        models = [
            add_lora(load_base({"folder": folder}), LORA | {"initialisation": initialisation}, 3, False) for _ in "ab"
        ]
        for model in models:
            assert torch.allclose(CAUSAL.logits(model.eval(), batch), expected, atol=1e-5)
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("quantisation", ["nf4", "none"])
def test_an_adapter_goes_on_where_it_was(folder, batch, tmp_path, quantisation):
    base = {"folder": folder}
    model = trained(add_lora(load_base(base, quantisation), LORA, 0, False), batch)
    model.save_pretrained(tmp_path)
    going_on = continue_lora(load_base(base, quantisation), tmp_path, 0.3, False)
    trainable = {name for name, p in going_on.named_parameters() if p.requires_grad}
    assert trainable == {name for name, p in model.named_parameters() if p.requires_grad}
    assert {m.p for m in going_on.modules() if isinstance(m, torch.nn.Dropout)} == {0.3}
    with torch.no_grad():
        expected = CAUSAL.logits(model, batch)
        assert torch.allclose(CAUSAL.logits(going_on.eval(), batch), expected, atol=1e-5)
    trained(going_on, batch)
    with torch.no_grad():
        assert not torch.allclose(CAUSAL.logits(going_on, batch), expected, atol=1e-3)


def test_a_merged_adapter_is_the_model_with_it(folder, batch, tmp_path):
    model = trained(add_lora(load_base({"folder": folder}), LORA, 0, False), batch)
    model.save_pretrained(tmp_path)
    whole = unfreeze(merge(load_base({"folder": folder}), tmp_path), False)
    assert all(p.requires_grad for p in whole.parameters())
    with torch.no_grad():
        assert torch.allclose(CAUSAL.logits(whole, batch), CAUSAL.logits(model, batch), atol=1e-5)
