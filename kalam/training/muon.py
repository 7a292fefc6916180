"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): momentum whose matrix is made orthogonal."""

import torch

QUINTIC = (3.4445, -4.7750, 2.0315)  # of the post: steep at 0, so few iterations do
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """The optimiser of matrices; `weight_decay` is decoupled.

    torch.optim.Muon iterates in bf16 wherever it runs; a processor without instructions for that takes eight times as
    long for it as for fp32, which is what it is given here.
    """

    def __init__(self, parameters, lr: float, weight_decay: float = 0.0, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(p)
                state["momentum_buffer"].lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(state["momentum_buffer"], group["momentum"]))  # Nesterov's
                rows, columns = p.shape
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix of the same singular vectors, all of its singular values about 1, by Newton and Schulz's iteration."""
    a, b, c = QUINTIC
    short = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    found = short.float() if matrix.device.type == "cpu" else short.bfloat16()
    found = found / found.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return (found.T if short is not matrix else found).to(matrix.dtype)
