"""A reader of GGUF files by llama.cpp, through the bindings that were built with the tools.

python -m kalam.export.llamacpp GGUF CONTEXT [ADAPTER], with the tools' `python` folder on PYTHONPATH;
kalam.export.reader_process says what it is asked and what it answers.
"""

import os
import sys
from collections.abc import Sequence

import numpy as np

from kalam.export.reader_process import answer

F32 = 0  # ggml's number of the type


class GgufReader:
    """The model and the tokenizer of a file; attention keeps its keys and values in fp32, so that any difference
    from the original comes from the file."""

    def __init__(self, file: str, context: int, adapter: str | None = None):
        from llama_cpp import Llama

        threads = int(os.environ.get("OMP_NUM_THREADS", 1))
        self.model = Llama(
            file,
            n_ctx=context,
            n_batch=context,
            n_ubatch=context,
            n_threads=threads,
            n_threads_batch=threads,
            logits_all=True,
            type_k=F32,
            type_v=F32,
            lora_path=adapter,
            verbose=False,
        )
        self.vocabulary = self.model.n_vocab()

    def encode(self, text: str, special: bool) -> list[int]:
        return self.model.tokenize(text.encode(), add_bos=special, special=special)

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        self.model.reset()
        self.model.eval(tokens)
        return self.model.scores[: len(tokens)]

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        found = [int(self.logits(tokens)[-1].argmax())]
        while len(found) < count:
            self.model.eval(found[-1:])
            found.append(int(self.model.scores[self.model.n_tokens - 1].argmax()))
        return found


if __name__ == "__main__":
    answer(lambda: GgufReader(sys.argv[1], int(sys.argv[2]), *sys.argv[3:4]))
