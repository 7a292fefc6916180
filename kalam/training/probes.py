"""What is proved of a model before it trains on documents side by side."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from kalam.files.errors import InputError, first_line
from kalam.models.head import Head, cross_entropy
from kalam.training.packing import TokenStream
from kalam.training.task import Batch, Task, batch_to

logger = logging.getLogger(__name__)

LEAKAGE = 1e-6  # an honest model gives 0: what is masked has no weight at all
DIFFERENCE = 1e-3  # relative, between two ways to the same loss in half precision
ROUNDING = 1e-4, 2e-2  # relative, in fp32 and in half precision, between two batches of other lengths
LENGTH = 12


def probe(model: torch.nn.Module, task: Task) -> None:
    """Find out how the model is to be trained; raise InputError where its documents see one another however they are
    given to it, in a window or in a batch.

    One whose attention takes no mask of packed documents (BLOOM, DeBERTa, Mamba) is given each of them by itself; one
    that does more to its logits than its last layer tells (Gemma 2 caps them) goes without the chunked loss. The log
    has a line of either.
    """
    if fault := fault_of(model, task):
        task.packed = False
        if still := fault_of(model, task):
            raise InputError(f"{model.config.model_type}: cannot be trained here: {still}")
        logger.info(
            "%s takes no mask of packed documents (%s): each is trained on by itself, padded to the longest of its "
            "batch, which takes longer",
            model.config.model_type,
            fault,
        )
    task.chunked = unchunked_difference(model, task) < DIFFERENCE
    if not task.chunked:
        logger.info("the logits are kept whole: the model's last layer is not all that makes them")


def fault_of(model: torch.nn.Module, task: Task) -> str | None:
    """Why the model cannot be trained on documents as the task now gives them; None where it can."""
    try:
        leaked = leakage(model, task)
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError) as error:
        if "out of memory" in str(error):
            raise
        return first_line(error)[:100]
    half = next(p.dtype for p in model.parameters() if p.is_floating_point()) != torch.float32
    if leaked <= (LEAKAGE if task.packed else ROUNDING[half]):  # what is no number is no proof
        return None
    return f"documents see one another (logits move by {leaked:.2g})"


def leakage(model: torch.nn.Module, task: Task) -> float:
    """How far the logits of a document move when its neighbour's text changes, or its length where each stands by
    itself (in relation to the greatest of them); 0 where none leaks.

    A model for which this is not 0 reads its neighbour, and its losses mean nothing.
    """
    scores = []
    with evaluating(model):
        for first in (0, 1):
            batch = two_documents(model, task, first)
            documents = batch["document"][-1]
            # The second one stands last, in a window or a row of its own.
            here = documents == documents.max()
            scores.append(task.logits(model, batch)[-1][here][: LENGTH - 1].float())
    moved = (scores[0] - scores[1]).abs().max()
    return float(moved if task.packed else moved / scores[0].abs().max())


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
    if first and not task.packed:
        documents[0] = documents[0][: LENGTH // 2].repeat(3)
    marks = [[True] * len(document) for document in documents]
    examples = task.examples(TokenStream.of(documents, word_starts=marks, answer=marks), 2 * LENGTH)
    some = [examples[index] for index in range(len(examples))]
    return batch_to(task.collate(some, [(0,)] * len(some)), next(model.parameters()).device)
