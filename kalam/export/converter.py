"""llama.cpp's own converter with the pre-tokeniser declared that the tokenizer was trained with.

python -m kalam.export.converter TOOLS PRE SCRIPT ARGUMENTS...

The converter knows pre-tokenisers by a hash of the ids that they give a text, so never that of a
tokenizer trained here; it is told the name, and everything else is its own doing.
"""

import runpy
import sys

KNOWN = "-"  # leave it to the converter

if __name__ == "__main__":
    tools, pre, script, *arguments = sys.argv[1:]
    sys.path[:0] = [tools, f"{tools}/gguf-py"]
    if pre != KNOWN:
        from conversion.base import TextModel

        TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    sys.argv = [script, *arguments]
    runpy.run_path(f"{tools}/{script}", run_name="__main__")
