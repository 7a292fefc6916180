"""llama.cpp's own converter, told which pre-tokeniser a tokenizer was trained with.

python converter.py TOOLS PRE_TOKENISER SCRIPT ARGUMENTS...

The converter recognises pre-tokenisers by a hash of the ids that they give one text, so it never
recognises that of a tokenizer trained here; it is told the name. It would copy what a model card says
into the GGUF, which would make the file depend on whether the card is written already; it is told
that there is none. Everything else it does itself.
"""

import runpy
import sys

RECOGNISE = "-"  # in place of a name: the converter recognises the pre-tokeniser by its hash

if __name__ == "__main__":
    tools, name, script, *arguments = sys.argv[1:]
    sys.path[:1] = [tools, f"{tools}/gguf-py"]  # in place of the folder of this file
    from gguf import Metadata

    Metadata.load_model_card = staticmethod(lambda model_path=None: {})
    if name != RECOGNISE:
        from conversion.base import TextModel

        TextModel.get_vocab_base_pre = lambda self, tokenizer: name
    sys.argv = [script, *arguments]
    runpy.run_path(f"{tools}/{script}", run_name="__main__")
