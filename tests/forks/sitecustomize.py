"""Loaded by every Python with this folder on its path: what the workflow starts runs in a fork of the server's."""

import os
import sys
from pathlib import Path

LAUNCHED = ("kalam.machine.launch", "kalam.export.auto_reader")  # and not kalam.models.objections, without torch

_, *arguments = [part for part in sys.orig_argv if part != "-u"]
module = arguments[1] if arguments[:1] == ["-m"] and arguments[1] in LAUNCHED else ""
script = len(arguments) == 1 and "/.snakemake/scripts/" in arguments[0]
if (module or script) and "KALAM_TEST_FORKS" in os.environ:
    sys.path.append(str(Path(__file__).parents[1]))
    from forking import Fork

    path = os.getcwd() if module else Path(arguments[0]).parent
    Fork(arguments[1:] if module else arguments, os.getcwd(), dict(os.environ), path, module).stand_in()
