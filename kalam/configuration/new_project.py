"""A commented configuration for a new project.

python -m kalam.configuration.new_project NAME LANGUAGE
"""

import argparse
import re
import sys
from pathlib import Path
from string import Template

import yaml

from kalam.configuration.resolve import load_schema
from kalam.files.errors import InputError
from kalam.text.languages import ROOT, language_row

TEMPLATE = Template("""\
# $title. Every setting, and what it is where nothing is said, stands in config/README.md; a wrong one is refused
# before anything runs.
#
#   snakemake --cores all results/$project/data/text/statistics.tsv --configfile config/$project.yaml   # the texts
#   snakemake --cores all results/$project/ppl.txt --configfile config/$project.yaml                    # all of it
projects:
  $project:
    language: $language # a row of config/languages.yaml
    datasets:
      text:
        # Where the texts come from. A register is a kind of text that you want to tell apart: each is held out and
        # measured, also one that nothing is trained on. The source that matters most stands first, as what is similar
        # to its texts follows them into their split.
        sources:
          # The kind of text that the model is to be good at.
          target:
            kind: files
            register: target
            paths: ["data/$project/target/*"] # .txt (a text each), .jsonl (a text each row, in `text`), .html
            licence: null # as in "CC-BY-4.0"; it is kept with each text
            author: null
          # Other text of the language, as much as you have.
          general:
            kind: files
            register: general
            paths: ["data/$project/general/*"]
            licence: null
            author: null
          # A site, crawled as its robots.txt allows:
          # news:
          #   kind: site
          #   register: news
          #   start: ["https://example.org/sitemap.xml"]
          #   licence: CC-BY-4.0
          # A dataset of a hub, pinned by its commit:
          # web:
          #   kind: hub
          #   register: web
          #   dataset: owner/name
          #   revision: 0123456789abcdef0123456789abcdef01234567
        # Shares of each source that are held out, or numbers of texts.
        splits: {validation: 0.1, test: 0.1}
        # What is dropped, and why, lies beside what is kept, in files that end in .dropped.jsonl.
        cleaning:
          min_characters: 40
          min_script_fraction: 0.7 # of letters and marks; less for texts with much foreign script
    # What can be adapted. All of them are compared on held-out text, in bits per byte.
    models:
      # Made here of the general text: small, without a GPU or a hub, to see all of it work.
      small:
        kind: scratch
        parts: [general]
        tokenizer: {vocabulary: 2000}
        architecture:
          model_type: llama
          hidden_size: 256
          intermediate_size: 512
          num_hidden_layers: 3
          num_attention_heads: 4
          num_key_value_heads: 4
          max_position_embeddings: 1024
          tie_word_embeddings: true
        training:
          steps: 500
          learning_rate: 1.0e-3
          context: 256
          batch: 2
          micro_batch: 2
          gradient_checkpointing: false
      # One of a hub, pinned by its commit; it wants a GPU. With one, `small` can go.
      # qwen:
      #   kind: hub
      #   repository: Qwen/Qwen2.5-1.5B-Instruct
      #   revision: 989aa7980e4cf806f80c7fef2b1adb7bc71aa306
      # The same with more pieces for the script, where its tokenizer takes many tokens for few bytes (candidates.tsv
      # has both):
      # more: {kind: extended, base: qwen, pieces: 4000}
    evaluation:
      context: 1024 # bytes of text that a prediction may look back on
      stride: 512
    runs:
      adapt:
        task: causal
        base: best # of the models above, or the name of one
        parts: [target]
        quantisation: nf4 # QLoRA; none for LoRA
        lora: {rank: 16, alpha: 32}
        training:
          steps: 200 # a thousand and more where there is much text
          learning_rate: 1.0e-3 # 2.0e-4 for a model of a hub
          context: 256
          batch: 4
          micro_batch: 4
          evaluate_every: 20
          save_every: 40
          gradient_checkpointing: false # true for a model of a hub: slower, but it wants less memory
""")


def write_new_project(name: str, code: str, folder: Path = ROOT / "config") -> Path:
    """Write a configuration of the project `name` of a language, `<name>.yaml` in `folder`; gives its path.

    Raises InputError for a name that is none or taken, and for a language without a row.
    """
    form = load_schema(ROOT / "config/schema.yaml")["$defs"]["name"]["pattern"]
    language = language_row(code)
    if not re.search(form, name):
        raise InputError(f"name: found {name!r}; allowed is text of the form {form}")
    embedded = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))["projects"]
    if name in embedded:
        raise InputError(f"name: found {name}, a project of config/config.yaml; allowed is any other name")
    path = folder / f"{name}.yaml"
    title = f"Project {name}, in {language.name}"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.substitute(title=title, project=name, language=f'"{code}"'))
    except FileExistsError:
        raise InputError(f"name: found {name}, and config/{path.name} is there; allowed is any other name") from None
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the project, and of its file in config/")
    parser.add_argument("language", help="its code in config/languages.yaml")
    given = parser.parse_args()
    try:
        written = write_new_project(given.name, given.language)
    except InputError as error:
        sys.exit(str(error))
    print(f"config/{written.name} is written; put texts where its `paths` say, or change them")
