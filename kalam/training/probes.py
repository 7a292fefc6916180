"""What is proved of a model before it trains on documents side by side."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from kalam.files.errors import InputError
from kalam.models.head import Head, cross_entropy
from kalam.training.packing import TokenStream
from kalam.training.task import Batch, Task, batch_to

logger = logging.getLogger(__name__)

LEAKAGE = 1e-6  # an honest model gives 0: what is masked has no weight at all
DIFFERENCE = 1e-3  # relative, between two ways to the same loss in half precision
LENGTH = 12


def probe(model: torch.nn.Module, task: Task) -> None:
    """Raise InputError for a model whose documents see one another, in a window or in a batch.

    One that does more to its logits than its last layer tells (Gemma 2 caps them) goes without the
    chunked loss, with a line in the log.
    """
    leaked = leakage(model, task)
    if leaked > LEAKAGE:
        raise InputError(f"{model.config.model_type}: documents see one another (logits move by {leaked:.2g})")
    task.chunked = unchunked_difference(model, task) < DIFFERENCE
    if not task.chunked:
        logger.info("the logits are kept whole: the model's last layer is not all that makes them")


def leakage(model: torch.nn.Module, task: Task) -> float:
    """How far the logits of a document move when its neighbour's text changes; 0 where none leaks.

    A model for which this is not 0 reads its neighbour, and its losses mean nothing.
    """
    with evaluating(model):
        scores = [task.logits(model, two_documents(model, task, first)).float() for first in (0, 1)]
    # The second document stands last, in a window or a row of its own, without the token that predicts nothing.
    last = [logits.flatten(0, 1)[1 - LENGTH :] for logits in scores]
    return float((last[0] - last[1]).abs().max())


def unchunked_difference(model: torch.nn.Module, task: Task) -> float:
    """The relative difference between the plain loss and the one that is made in chunks."""
    batch = two_documents(model, task, 0)
    inputs, labels = task.inputs(model, batch), batch["labels"]
    with evaluating(model):
        whole = cross_entropy(model(**inputs).logits, labels)
        chunked = Head(model).chunked(inputs, labels)
    return float((whole - chunked).abs() / whole.abs())


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """The model without dropout and gradients; afterwards it is as it was."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        yield
    model.train(was_training)


def two_documents(model: torch.nn.Module, task: Task, first: int) -> Batch:
    """A batch of two random documents on the model's device; the second is always the same one."""
    random = np.random.default_rng(0)
    texts = random.choice(model.config.get_text_config().vocab_size, (3, LENGTH))
    documents = [texts[first], texts[2]]
    marks = [[True] * LENGTH] * 2
    examples = task.examples(TokenStream.of(documents, word_starts=marks, answer=marks), 2 * LENGTH)
    some = [examples[index] for index in range(len(examples))]
    return batch_to(task.collate(some, [(0,)] * len(some)), next(model.parameters()).device)
