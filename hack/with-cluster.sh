#!/usr/bin/env bash
# Runs a command with everything that it can want of this checkout: the Python environment first on PATH, a cluster (KUBECONFIG), the image in it
# (VOLRESIZE_IMAGE). What is there already is used as it is, so that the second time takes two seconds.
#
#   hack/with-cluster.sh pytest -m cluster tests/e2e       NODES=1|2 for a new cluster (default 2)
#
# VOLRESIZE_PREPARED_IN tells the command how many seconds this took.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE

main() {
  local venv
  [[ $# -gt 0 ]] || {
    printf 'usage: hack/with-cluster.sh COMMAND...\n' >&2
    exit 2
  }
  venv=$("$HERE/venv.sh" | tail -n 1)
  "$HERE/cluster.sh" up >&2
  KUBECONFIG=$("$HERE/cluster.sh" kubeconfig)
  VOLRESIZE_IMAGE=$("$HERE/build-migrator-image.sh" | tail -n 1)
  export KUBECONFIG VOLRESIZE_IMAGE PATH="$venv/bin:$PATH" VOLRESIZE_PREPARED_IN=$SECONDS
  exec "$@"
}

main "$@"
