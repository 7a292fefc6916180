"""A model folder as any stranger reads it: the plain Auto classes, in a fresh process.

python -m kalam.export.auto_reader FOLDER, asked and answered as kalam.export.reading says.
"""

import sys
from collections.abc import Sequence

import numpy as np

from kalam.export.reading import answer


class Stranger:
    """The model and the tokenizer of a folder, in fp32."""

    def __init__(self, folder: str):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        if torch.cuda.is_available():
            self.model.to("cuda")
        self.vocabulary = self.model.get_output_embeddings().weight.shape[0]

    def encode(self, text: str, usual: bool) -> list[int]:
        if usual:
            return self.tokenizer(text)["input_ids"]
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            ids = torch.tensor([tokens], device=self.model.device)
            return self.model(input_ids=ids, use_cache=False).logits[0].float().cpu().numpy()

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count:  # not generate(), which makes an end of the text impossible or stops there
            found.append(int(self.logits([*tokens, *found])[-1].argmax()))
        return found


if __name__ == "__main__":
    answer(lambda: Stranger(sys.argv[1]))
