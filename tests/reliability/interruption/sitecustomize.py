"""Loaded by every Python with this folder on its path: interrupts STOP_SCRIPT in the way STOP_HOW at STOP_AT."""

import os
import sys

if any(part.endswith(os.environ["STOP_SCRIPT"]) for part in sys.orig_argv):
    import interrupt

    interrupt.install(interrupt.WAYS[os.environ["STOP_HOW"]], os.environ["STOP_AT"])
