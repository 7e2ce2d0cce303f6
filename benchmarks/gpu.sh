#!/usr/bin/env bash
# Runs what needs a GPU and leaves tables; `benchmarks/gpu.sh --help` tells the parts. Takes the Python of $PYTHON, or
# else python3, as it is: an environment of its own (3.11 or newer, torch 2.11 or newer) need not have mtlbench installed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH=$here/src${PYTHONPATH:+:$PYTHONPATH}
python=${PYTHON:-python3}
missing=$("$python" - <<'EOF'
from importlib.util import find_spec

needed = {"filelock": "filelock", "numpy": "numpy", "pydantic": "pydantic", "rich": "rich", "ruamel": "ruamel.yaml",
          "safetensors": "safetensors", "torch": "torch", "torchvision": "torchvision", "typer": "typer"}
print(" ".join(name for module, name in needed.items() if find_spec(module) is None))
EOF
)
if [ -n "$missing" ]; then
  echo "benchmarks/gpu.sh: this Python lacks $missing; name another one in PYTHON" >&2
  exit 1
fi
exec "$python" "$here/benchmarks/gpu.py" "$@"
