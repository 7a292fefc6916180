"""Calls a function in so many processes, as the scripts of the rules do; its argument is JSON."""

import json
import sys
from importlib import import_module

from kalam.files.logs import log_to
from kalam.machine.launch import launch

module, function, tasks, log, arguments, recipe = json.loads(sys.argv[1])
log_to(log)
launch(getattr(import_module(module), function), arguments | {"recipe": recipe}, log, 1, tasks)
