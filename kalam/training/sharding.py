"""Weights cut over the processes of a training, by torch's FSDP2."""

from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from kalam.models.precision import autocast
from kalam.training.processes import Processes
from kalam.training.recipe import Recipe


def is_sharded(recipe: Recipe) -> bool:
    """Whether several processes are to hold parts of the model, not all of it each."""
    return recipe.parallel == "fsdp" and Processes().count > 1


class Learner(torch.nn.Module):
    """A model in the arithmetic of its training, and the one way into it.

    `learner(work, ...)` gives what `work(model, ...)` gives. Inside of it the weights that stand
    outside the layers (embeddings, last norm, head) are whole, and each layer's are while it runs.
    """

    def __init__(self, model: torch.nn.Module, precision: str, sharded: bool = False):
        super().__init__()
        self.model, self.precision, self.sharded = model, precision, sharded
        if sharded:
            shard(self)

    @property
    def device(self) -> torch.device:
        return self.model.device

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The weights that are trained, by the model's names for them."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def forward(self, work: Callable, *arguments: Any) -> Any:
        # Its cache of weights in half precision would put together what is in parts.
        with autocast(self.precision, self.device, cache=not self.sharded):
            return work(self.model, *arguments)


def shard(learner: Learner) -> None:
    """Leave each process its part of every layer's weights, and of what stands outside of the layers.

    Gradients are added up over the processes, not averaged, as the loss is a sum.
    """
    names = learner.model._no_split_modules or ()
    # Of a list: embeddings are named too, and these may share their weight with the head.
    lists = [module for module in learner.model.modules() if isinstance(module, torch.nn.ModuleList)]
    layers = [module for layers in lists for module in layers if type(module).__name__ in names]
    for module in (*layers, learner):
        fully_shard(module)
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)  # gloo has no other


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself, put together where the processes hold parts of it: all of them must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def on_main(tensor: torch.Tensor) -> torch.Tensor:
    """What the main process writes of a tensor that is in parts: the whole on its CPU, nothing elsewhere."""
    if not isinstance(tensor, DTensor):
        return tensor
    together = tensor.full_tensor()
    return together.cpu() if Processes().main else together.new_empty(0)


def weights_to_write(model: torch.nn.Module) -> dict[str, torch.Tensor] | None:
    """Trained weights and buffers of a model that is in parts, for the main process; None where it is whole."""
    if not any(isinstance(p, DTensor) for p in model.parameters()):
        return None
    buffers = dict(model.named_buffers())
    state = model.state_dict(keep_vars=True)
    return {name: on_main(tensor) for name, tensor in state.items() if tensor.requires_grad or name in buffers}


def part_like(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """This process's part of a whole tensor, cut as `like` is and on its device."""
    tensor = tensor.to(like.device)
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)
