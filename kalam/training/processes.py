"""The processes of one training: which of them this is, and what they do together."""

import torch
from accelerate import PartialState
from torch import distributed


class Processes:
    """All processes of this training; one that nobody launched in several has a single one.

    Whatever they do together, each of them must do at the same point. They talk by NCCL where they
    have GPUs, else by gloo.
    """

    def __init__(self):
        state = PartialState(cpu=not torch.cuda.is_available())
        self.index, self.count, self.device = state.process_index, state.num_processes, state.device

    @property
    def main(self) -> bool:
        """Whether this is the one that writes."""
        return self.index == 0

    def wait(self) -> None:
        """Until all of them are here."""
        if self.count > 1:
            distributed.barrier()

    def sum(self, *numbers: float) -> list[float]:
        """Each number, added up over the processes."""
        if self.count == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return total.tolist()

    def any(self, flag: bool) -> bool:
        """Whether one of them says so."""
        return self.sum(flag)[0] > 0

    def gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """The tensor of each process, on the CPU; all have one shape."""
        if self.count == 1:
            return [tensor.cpu()]
        here = tensor.to(self.device)
        found = [torch.empty_like(here) for _ in range(self.count)]
        distributed.all_gather(found, here)
        return [each.cpu() for each in found]

    def add_gradients(self, parameters: list[torch.nn.Parameter]) -> None:
        """Give every process the sum of all their gradients; one may lack some (of a layer it left out)."""
        if self.count == 1:
            return
        reached = self.sum(*(parameter.grad is not None for parameter in parameters))
        for parameter, processes in zip(parameters, reached, strict=True):
            if processes:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                distributed.all_reduce(parameter.grad)
