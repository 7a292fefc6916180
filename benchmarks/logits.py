"""The loss over a large vocabulary, from whole logits and in chunks: peak memory and processor time.

python -m benchmarks.logits

One window of 2,048 hidden states in front of a frozen output layer, as QLoRA has it, forward and
backward; each way in a process of its own, whose peak is its resident size less what it began with.
Two ways train 1,000 new rows of that layer in chunks, by peft's own layer and by ours; two only score.
"""

import json
import resource
import subprocess
import sys
import time

from benchmarks.workflow import machine, write_result

SHAPES = {"Qwen2.5-1.5B": (1536, 151_936), "Gemma 3 1B": (1152, 262_144)}
CONTEXT = 2048
WAYS = ("plain", "chunked", "chunked, new rows by peft", "chunked, new rows", "scored, plain", "scored, chunked")
ROWS = 1000


def measure(way: str, hidden: int, vocabulary: int) -> dict[str, float]:
    import torch
    from transformers import PretrainedConfig

    from kalam.models.head import Head, cross_entropy

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(hidden, vocabulary, bias=False).requires_grad_(False)
            self.config = PretrainedConfig(vocab_size=vocabulary)

        def get_output_embeddings(self):
            return self.head

        def forward(self, states):
            return type("Output", (), {"logits": self.head(states)})

    torch.manual_seed(0)
    model, labels = Model(), torch.randint(0, vocabulary, (1, CONTEXT))
    states = torch.randn(1, CONTEXT, hidden, requires_grad=True)
    rows = add_rows(model, vocabulary, ours=not way.endswith("peft")) if "new rows" in way else None
    before, started = resident(), time.process_time()
    with torch.set_grad_enabled("scored" not in way):
        if "plain" in way:
            loss = cross_entropy(model(states).logits, labels)
        elif "scored" in way:
            loss = Head(model).score({"states": states}, labels)[0].sum()
        else:
            loss = Head(model).chunked({"states": states}, labels)
    if loss.requires_grad:
        loss.backward()
    return {
        "processor_seconds": round(time.process_time() - started, 1),
        "gb": round(resident() - before, 2),
        "loss": round(loss.item() / CONTEXT, 6),
        **{
            name: round(float(tensor.grad.double().norm()), 6)
            for name, tensor in (("gradient", states), ("gradient_of_rows", rows))
            if tensor is not None and tensor.grad is not None
        },
    }


def add_rows(model, vocabulary: int, ours: bool):
    """Make the last rows of the model's output layer trainable; these."""
    from peft import TrainableTokensConfig, get_peft_model

    from kalam.models.token_rows import beside_the_frozen

    indices = list(range(vocabulary - ROWS, vocabulary))
    get_peft_model(model, TrainableTokensConfig(target_modules=["head"], token_indices=indices))
    if ours:
        beside_the_frozen(model)
    return next(p for p in model.parameters() if p.requires_grad)


def resident() -> float:
    """The largest resident size of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
        sys.exit()
    results: dict[str, dict] = {}
    for name, (hidden, vocabulary) in SHAPES.items():
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.logits", way, str(hidden), str(vocabulary)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results.setdefault(name, {})[way] = json.loads(done.stdout)
        print(name, results[name], flush=True)
    write_result("logits", {"machine": machine(), "context": CONTEXT, "precision": "fp32", "shapes": results})
