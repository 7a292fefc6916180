"""A reader of model folders by transformers' Auto classes, which is how others load them.

python -m kalam.export.auto_reader FOLDER; kalam.export.reader_process says what it is asked and what it answers.
"""

import sys
from collections.abc import Sequence

import numpy as np

from kalam.export.reader_process import answer


class AutoReader:
    """The model and the tokenizer of a folder, in fp32."""

    def __init__(self, folder: str):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
        self.model = model.eval()
        if torch.cuda.is_available():
            self.model.to("cuda")
        self.vocabulary = self.model.get_output_embeddings().weight.shape[0]

    def encode(self, text: str, special: bool) -> list[int]:
        if special:
            return self.tokenizer(text)["input_ids"]
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            ids = torch.tensor([tokens], device=self.model.device)
            return self.model(input_ids=ids, use_cache=False).logits[0].float().cpu().numpy()

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count:  # not generate(), which forbids the end-of-text token or stops at it
            found.append(int(self.logits([*tokens, *found])[-1].argmax()))
        return found


if __name__ == "__main__":
    answer(lambda: AutoReader(sys.argv[1]))
