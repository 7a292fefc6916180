"""Whether a causal model looks at nothing but what came before."""

from typing import TYPE_CHECKING

from kalam.files.errors import InputError, first_line

if TYPE_CHECKING:
    import torch

SEEN, CHANGED = 2, 4  # tokens that stay, and those after them that change
ROUNDING = 1e-4, 2e-2  # in fp32 and in half precision, where experts are given other neighbours


def require_causal(model: "torch.nn.Module", name: str) -> None:
    """Raise InputError for a model whose predictions change with what follows them: its figures would mean nothing.

    BERT and its kin are such, but with `is_decoder`. `name` is what the message calls it.
    """
    import torch

    was_training = model.training
    random = torch.Generator().manual_seed(0)
    size = model.config.get_text_config().vocab_size
    seen, *others = (torch.randint(size, (1, n), generator=random) for n in (SEEN, CHANGED, CHANGED))
    device = next(model.parameters()).device
    model.eval()
    try:
        with torch.no_grad():
            first, second = (model(input_ids=torch.cat([seen, rest], 1).to(device)).logits.float() for rest in others)
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError) as error:
        if "out of memory" in str(error):
            raise
        raise InputError(f"{name}: cannot be asked what follows some tokens: {first_line(error)}") from None
    model.train(was_training)
    allowed = ROUNDING[next(p.dtype for p in model.parameters() if p.is_floating_point()) != torch.float32]
    moved, free = ((first - second)[:, part].abs().max() for part in (slice(SEEN), slice(SEEN, None)))
    if moved > allowed * free:
        kind = model.config.model_type
        hint = f"; allowed of {kind} is one with is_decoder: true" if hasattr(model.config, "is_decoder") else ""
        raise InputError(f"{name}: no causal model: its predictions change with what follows them{hint}")
