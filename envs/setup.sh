#!/usr/bin/env bash
# Make the virtual environment $1 with the pinned packages; called by make.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "no $python; install Python 3.11 or later (Debian: apt-get install python3 python3-venv)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("$python" --version) is too old; Python 3.11 or later is wanted (set PYTHON=...)"
command -v git >/dev/null || fail "no git; install it (Debian: apt-get install git)"
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "no venv module; install it (Debian: apt-get install python3-venv)"
  apt-get update -qq && apt-get install -y -qq python3-venv
fi

"$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
torch=$(grep '^torch==' requirements.txt)

# A GPU machine takes the registry's build, which brings CUDA. A CPU machine need not: it takes a
# CPU wheel where pip's own configuration has one at hand, or the index that TORCH_INDEX names.
if nvidia-smi -L >/dev/null 2>&1; then
  echo "setup: a GPU is here: installing torch with CUDA"
elif "${pip[@]}" install --quiet --no-index --no-deps "$torch+cpu" 2>/dev/null; then
  echo "setup: no GPU: took the CPU build of torch at hand"
elif [ -n "${TORCH_INDEX:-}" ]; then
  echo "setup: no GPU: installing torch from $TORCH_INDEX"
  "${pip[@]}" install --quiet --index-url "$TORCH_INDEX" "$torch"
else
  echo "setup: no GPU, no CPU build of torch at hand and no TORCH_INDEX: the registry's build brings gigabytes of CUDA"
fi
echo "setup: installing the pinned packages (a few minutes the first time)"
"${pip[@]}" install --quiet -r requirements.txt -c constraints.txt
touch "$venv/ready"
