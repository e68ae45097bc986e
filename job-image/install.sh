#!/usr/bin/env bash
# One pip install inside a build stage, into ROOT (default /out, laid out so that it can be copied over a root file system), with its bytecode.
# The build host's CA bundle and index come as secrets: both are for the build alone, and an index address may hold a password.
set -euo pipefail

use_secrets() {
  local ca=/run/secrets/volresize-ca index=/run/secrets/volresize-index
  if [[ -s "$ca" ]]; then
    export PIP_CERT="$ca"
  fi
  if [[ -s "$index" ]]; then
    PIP_INDEX_URL=$(<"$index")
    export PIP_INDEX_URL
  fi
}

install() {
  local root=$1
  shift
  # --root keeps the interpreter's own layout (dist-packages here, site-packages there), so that both kinds of base find it without PYTHONPATH.
  # --ignore-installed: what only the builder has would be missing in the image.
  PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile \
    --no-warn-script-location --ignore-installed --only-binary ':all:' --root "$root" "$@"
}

compile() {
  local root=$1
  # unchecked-hash: a timestamp would go stale in the copy, and every start would compile again, in vain on a read-only root.
  # -s and -p: tracebacks name the file where it will be.
  python3 -m compileall -q -s "$root" -p / --invalidation-mode unchecked-hash "$root"
}

main() {
  local root=${ROOT:-/out}
  use_secrets
  install "$root" "$@"
  if [[ "$root" != / ]]; then
    compile "$root"
  fi
}

main "$@"
