#!/usr/bin/env bash
# The test cluster in Docker: creates it unless it is there, and makes it kubectl's current one.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
readonly CLUSTER=volresize-test

need() {
  command -v "$1" >/dev/null || {
    printf 'error: %s is not on PATH\n' "$1" >&2
    exit 1
  }
}

main() {
  need kind
  need kubectl
  # Without --quiet: grep would stop reading, and kind would die of the broken pipe.
  if kind get clusters 2>/dev/null | grep -x "$CLUSTER" >/dev/null; then
    printf 'cluster: %s is there already\n' "$CLUSTER" >&2
    # Its entry in the kubeconfig may have been lost since.
    kind export kubeconfig --name "$CLUSTER"
  else
    kind create cluster --name "$CLUSTER" --config "$HERE/kind-config.yaml" --wait 180s
  fi
  kubectl config use-context "kind-$CLUSTER"
  kubectl cluster-info
}

main "$@"
