"""The training loop: its losses against the Trainer's, what changes nothing, when it stops and when it refuses."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from own_examples import Given

from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl
from kalam.tasks.causal import Task
from kalam.text.tokens import IGNORED
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.feed import shuffled
from kalam.training.loop import train
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner

CAUSAL = Task(SimpleNamespace(pad_token_id=0))
RECIPE = {
    "seed": 5,
    "steps": 10,
    "learning_rate": 1e-2,
    "context": 16,
    "batch": 4,
    "micro_batch": 2,
    "schedule": "constant",
    "warmup": 0.0,
    "weight_decay": 0.1,
    "evaluate_every": 5,
    "save_every": 100,
    "precision": "fp32",
}


@pytest.fixture
def trained(windows, tmp_path):
    """A model trained by the loop: progress, the rows of its steps and those of its evaluations."""

    def run(model, task=CAUSAL, training=windows, validation=windows, **changes):
        store, recipe = CheckpointFolder(tmp_path / f"run{len(list(tmp_path.iterdir()))}"), Recipe(**RECIPE | changes)
        progress = train(Learner(model, recipe.precision), task, training, validation, recipe, store)
        rows = list(read_jsonl(store.history))
        steps = [row for row in rows if "loss" in row]
        return SimpleNamespace(progress=progress, steps=steps, evaluations=[row for row in rows if row not in steps])

    return run


def batch_indices(step: int, batch: int, count: int, seed: int) -> list[int]:
    """The windows of one step."""
    return shuffled(range(step * batch, (step + 1) * batch), count, seed)


def losses(run) -> list[float]:
    return [row["loss"] for row in run.steps]


def partly_masked(count: int, context: int) -> Given:
    """Windows of one document with another number of predicted tokens each."""
    generator = np.random.default_rng(0)
    made = []
    for n in range(count):
        ids = generator.integers(3, 250, context)
        labels = np.append(ids[1:], IGNORED)
        labels[: 2 * n % (context - 1)] = IGNORED
        made.append(
            {
                "input_ids": ids,
                "labels": labels,
                "position_ids": np.arange(context),
                "document": np.zeros(context, dtype=np.int64),
            }
        )
    return Given(made)


def test_the_losses_are_the_trainer_s(tiny, trained, tmp_path):
    from transformers import Trainer, TrainerCallback, TrainingArguments

    ours, theirs = tiny(tie_word_embeddings=False), tiny(tie_word_embeddings=False)
    training = partly_masked(6, 16)
    run = trained(ours, training=training, evaluate_every=10, gradient_clip=0.5)

    order = [i for step in range(10) for i in batch_indices(step, 4, 6, RECIPE["seed"])]
    rows = [{"input_ids": training[i]["input_ids"], "labels": np.roll(training[i]["labels"], 1)} for i in order]
    logged = []

    class Log(TrainerCallback):
        def on_log(self, args, state, control, logs, **_):
            logged.append(logs)

    class InOrder(Trainer):
        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    arguments = TrainingArguments(
        tmp_path,
        max_steps=10,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        weight_decay=0.1,
        max_grad_norm=0.5,
        optim="adamw_torch",
        logging_steps=1,
        save_strategy="no",
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    InOrder(model=theirs, args=arguments, train_dataset=rows, callbacks=[Log()]).train()
    assert losses(run) == pytest.approx([row["loss"] for row in logged[:10]], abs=1e-4)
    norms = [row["gradient_norm"] for row in run.steps]
    assert norms == pytest.approx([row["grad_norm"] for row in logged[:10]], rel=1e-3)
    assert losses(run)[-1] < losses(run)[0] - 0.5
    assert min(norms) > 0.5  # the clipping counted


def test_after_the_trainer_s_steps_the_weights_are_adamw_s(tiny, trained):
    model, reference = tiny(), tiny()
    training = partly_masked(4, 16)
    trained(model, training=training, validation=training, micro_batch=4, steps=3, evaluate_every=3, gradient_clip=1e9)
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in reference.parameters() if p.ndim > 1], "weight_decay": 0.1},
            {"params": [p for p in reference.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=1e-2,
        fused=True,
    )
    for step in range(3):
        batch = CAUSAL.collate([training[i] for i in batch_indices(step, 4, 4, RECIPE["seed"])], [])
        total, count = CAUSAL.loss(reference.train(), batch)
        (total / count).backward()
        optimiser.step()
        optimiser.zero_grad()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.allclose(model.lm_head.weight, tiny().lm_head.weight, atol=1e-2)


@pytest.mark.parametrize("micro_batch", [1, 4])
def test_the_micro_batch_changes_no_loss(tiny, trained, micro_batch):
    reference, other = trained(tiny()), trained(tiny(), micro_batch=micro_batch)
    assert losses(other) == pytest.approx(losses(reference), abs=1e-5)
    assert other.progress.best_loss == pytest.approx(reference.progress.best_loss, abs=1e-5)
    assert losses(trained(tiny(), batch=2)) != pytest.approx(losses(reference), abs=1e-5)


def test_gradient_checkpointing_changes_nothing_even_with_dropout(tiny, trained):
    plain, saving = (tiny("xglm", dropout=0.2, attention_dropout=0.1) for _ in range(2))
    saving.activation_checkpointing_enable({"use_reentrant": False})
    assert trained(plain).steps == trained(saving).steps


def test_the_seed_decides_dropout_and_order(tiny, trained):
    runs = [trained(tiny("xglm", dropout=0.2), seed=seed) for seed in (1, 1, 2)]
    assert runs[0].steps == runs[1].steps
    assert losses(runs[0]) != losses(runs[2])


@given(batch=st.integers(1, 9), count=st.integers(1, 13), seed=st.integers(0, 3), epochs=st.integers(1, 3))
def test_every_epoch_takes_every_window_once(batch, count, seed, epochs):
    steps = -(-epochs * count // batch)
    taken = [i for step in range(steps) for i in batch_indices(step, batch, count, seed)]
    for epoch in range(epochs):
        assert sorted(taken[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_epochs_and_seeds_shuffle_anew():
    orders = {tuple(batch_indices(step, 20, 20, seed)) for step in range(3) for seed in range(3)}
    assert len(orders) == 9


def test_it_stops_when_validation_gets_no_better_and_keeps_the_best_weights(tiny, trained, windows):
    model = tiny()
    run = trained(model, training=partly_masked(2, 16), steps=60, evaluate_every=2, patience=3)
    scores = [row["validation_loss"] for row in run.evaluations]
    assert run.progress.step < 60
    assert run.progress.best_loss == min(scores)
    assert run.progress.best_step == 2 * scores.index(min(scores))
    assert len(scores) == scores.index(min(scores)) + 4
    with torch.no_grad():
        parts = [CAUSAL.loss(model.eval(), CAUSAL.collate([windows[i]], [])) for i in range(len(windows))]
    again = sum(float(total) for total, _ in parts) / sum(int(count) for _, count in parts)
    assert again == pytest.approx(min(scores), abs=1e-6)


def test_where_no_step_helps_the_base_comes_back_untouched(tiny, trained):
    model, before = tiny(), tiny().state_dict()
    run = trained(model, learning_rate=3.0, evaluate_every=1, patience=2)
    assert (run.progress.step, run.progress.best_step) == (2, 0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_rate_rises_then_falls():
    def rates(schedule, warmup=0.2):
        recipe = Recipe(**RECIPE | {"warmup": warmup, "schedule": schedule, "final_rate": 0.1})
        return [round(recipe.rate(step), 6) for step in range(10)]

    assert rates("constant") == [0.005] + [0.01] * 9
    assert rates("constant", warmup=2) == rates("constant")
    assert rates("constant", warmup=5)[:6] == [0.002, 0.004, 0.006, 0.008, 0.01, 0.01]
    assert rates("linear", warmup=10)[-1] == 0.01
    assert rates("linear")[:4] == [0.005, 0.01, 0.01, 0.008875]
    assert rates("cosine")[2] == 0.01
    assert rates("cosine")[6] == pytest.approx(0.0055)
    assert all(
        0.001 <= later <= earlier for earlier, later in zip(rates("cosine")[2:], rates("cosine")[3:], strict=False)
    )


class Spoilt(Task):
    """The task with its loss changed from call `at` on."""

    def __init__(self, spoil, at: int):
        super().__init__(SimpleNamespace(pad_token_id=0))
        self.spoil, self.at, self.calls = spoil, at, 0

    def loss(self, model, batch):
        self.calls += 1
        total, count = super().loss(model, batch)
        return (self.spoil(model, total) if self.calls >= self.at else total), count


# 6 calls in an evaluation (the first at step 0), 2 in each step.
@pytest.mark.parametrize(
    ("spoil", "at", "message"),
    [
        (lambda _, total: total * float("nan"), 11, "step 2: the loss is nan"),
        (lambda _, total: total / 0, 11, "step 2: the loss is inf"),
        (lambda m, total: total + (m.lm_head.weight.sum() * 0).sqrt(), 11, "step 2: the norm of the gradient is nan"),
        (lambda _, total: total * float("nan"), 17, "step 5: the validation loss is nan"),
    ],
)
def test_what_is_no_number_ends_the_training(tiny, trained, windows, spoil, at, message):
    assert len(windows) == 11
    model = tiny(tie_word_embeddings=False)
    with pytest.raises(FloatingPointError, match=message):
        trained(model, Spoilt(spoil, at))
    assert all(bool(p.isfinite().all()) for p in model.parameters())


def test_a_trainable_weight_that_nothing_depends_on_ends_the_training(tiny, trained):
    model = tiny()
    model.forgotten = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(InputError, match=r"no gradient reaches 1 of .* trainable weights: forgotten"):
        trained(model)


class Rare(Task):
    """The task whose loss depends on a weight of its own from call `since` on."""

    def __init__(self, since: float):
        super().__init__(SimpleNamespace(pad_token_id=0))
        self.since, self.calls = since, 0

    def loss(self, model, batch):
        self.calls += 1
        total, count = super().loss(model, batch)
        return (total + model.rare.sum() if self.calls >= self.since else total), count


@pytest.mark.parametrize(("since", "ends"), [(17, False), (float("inf"), True)], ids=["reached late", "never reached"])
def test_an_architecture_that_routes_may_leave_weights_out_of_a_step_but_not_of_many(
    tiny, trained, monkeypatch, since, ends
):
    monkeypatch.setattr("kalam.training.loop.ROUTED_STEPS", 8)  # at 6 calls an evaluation and 2 a step
    model = tiny()
    model.config.num_experts = 2
    model.rare = torch.nn.Parameter(torch.ones(3))
    if ends:
        with pytest.raises(InputError, match=r"no gradient reaches 1 of 22 trainable weights: rare \(in 8 steps\)"):
            trained(model, Rare(since))
    else:
        run = trained(model, Rare(since))
        assert run.progress.unreached == []
        assert not torch.equal(model.rare, torch.ones(3))


def test_a_gradient_that_is_zero_is_named(tiny, trained, caplog):
    class Idle(Task):
        def loss(self, model, batch):
            total, count = super().loss(model, batch)
            return total + 0 * model.idle.sum(), count

    model = tiny()
    model.idle = torch.nn.Parameter(torch.ones(3))
    with caplog.at_level("WARNING"):
        trained(model, Idle(SimpleNamespace(pad_token_id=0)))
    assert "the gradient of 1 trainable weights is 0: idle" in caplog.text


def test_a_batch_without_a_label_ends_the_training(tiny, trained):
    training = partly_masked(4, 16)
    for window in training:
        window["labels"][:] = IGNORED
    with pytest.raises(InputError, match="a batch without a label"):
        trained(tiny(), training=training)


def test_a_run_that_never_gets_better_than_its_base_is_flagged(tiny, causal, stream, tmp_path, caplog):
    from kalam.training.engine import fit

    stream.save(tmp_path / "tokens")
    tokens = {"train": str(tmp_path / "tokens"), "validation": str(tmp_path / "tokens")}
    recipe = Recipe(**RECIPE | {"learning_rate": 3.0, "evaluate_every": 1, "patience": 1})
    with caplog.at_level("WARNING"):
        outcome = fit(tiny(), causal, tokens, recipe, CheckpointFolder(tmp_path / "run"))
    assert outcome["best_step"] == 0
    assert "no step was better on the validation split" in caplog.text


def test_epochs_are_steps_once_the_windows_are_counted():
    recipe = Recipe(seed=0, learning_rate=1.0, epochs=1.5, batch=4)
    assert recipe.for_examples(11).steps == 5
    assert recipe.identity()["epochs"] == 1.5
    assert "steps" not in recipe.identity()
    given = Recipe(seed=0, learning_rate=1.0, steps=3)
    assert given.for_examples(11) == given
