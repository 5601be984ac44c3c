# Sourced (bash) by scripts/test, scripts/demo and .ci/run: gets .venv ready and leaves its Python in $python.
#
#   PYTHON         the Python that makes .venv (default python3; 3.10 or newer)
#   TORCH_VERSION  the torch to install when .venv has none (default 2.13.0)
#   TORCH_INDEX    package index to take torch from (default pip's own), for example PyTorch's index of CPU builds

TORCH_VERSION="${TORCH_VERSION:-2.13.0}"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { printf '== %s\n' "$*"; }

# install_project EXTRAS: the project, editable, with its extras ("" or "[dev]"); skipped when pyproject.toml is
# the one that was installed last.
install_project() {
    local extras="$1" installed
    installed="$root/.venv/installed$extras.toml"
    python="$root/.venv/bin/python"
    [ ! -d "$root/.venv/Scripts" ] || python="$root/.venv/Scripts/python.exe" # Windows
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        say "Making .venv with $("${PYTHON:-python3}" --version)"
        "${PYTHON:-python3}" -m venv --clear "$root/.venv"
        [ ! -d "$root/.venv/Scripts" ] || python="$root/.venv/Scripts/python.exe"
    fi
    if ! "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)'; then
        say "Installing torch $TORCH_VERSION"
        "$python" -m pip install -qq ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch==$TORCH_VERSION"
    fi
    if ! cmp -s "$root/pyproject.toml" "$installed"; then
        say "Installing the project$extras into .venv"
        "$python" -m pip install -qq --editable "$root$extras"
        cp "$root/pyproject.toml" "$installed"
    fi
    say "Ready after $SECONDS s"
}
