"""Loaded by every Python with this folder on its path: the rule `clean` takes HUNGER megabytes.

Its first attempt then waits to be killed for that.
"""

import os
import sys
import time
from pathlib import Path

if any(part.endswith(".clean.py") for part in sys.orig_argv):
    taken = b"x" * (int(os.environ["HUNGER"]) << 20)
    first = Path("attempted")
    if not first.exists():
        first.touch()
        time.sleep(300)
