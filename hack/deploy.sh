#!/usr/bin/env bash
# Everything a first migration needs, in one go: builds the image, loads it, and installs CRD and rights for one namespace.
# Usage: hack/deploy.sh [NAMESPACE]   (default: default). Bringing up the cluster is hack/cluster.sh's.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT

say() { printf '%s\n' "$*" >&2; }

# The checkout's own plugin before one that happens to be installed: what was just built must meet what it was built with.
plugin() {
  local found
  if [[ -x "$ROOT/hack/venv.sh" ]]; then
    printf '%s/bin/kubectl-volresize\n' "$("$ROOT/hack/venv.sh" | tail -n 1)"
  elif found=$(command -v kubectl-volresize); then
    printf '%s\n' "$found"
  else
    say "error: kubectl-volresize is not on PATH; install it with: pip install -e '$ROOT'"
    return 1
  fi
}

next_steps() {
  local namespace=$1 image=$2
  cat <<TEXT

Ready in namespace $namespace. Next:

    export KUBECONFIG=$KUBECONFIG
    export VOLRESIZE_IMAGE=$image
    kubectl apply -n $namespace -f hack/test-manifests/statefulset.yaml
    kubectl volresize submit test-sts -n $namespace --volume data=500Mi
    kubectl volresize logs test-sts -n $namespace -f
TEXT
}

main() {
  local namespace=${1:-default} image plugin
  plugin=$(plugin)
  KUBECONFIG=$("$ROOT/hack/cluster.sh" kubeconfig)
  export KUBECONFIG
  image=$("$ROOT/hack/build-migrator-image.sh" | tail -n 1)
  kubectl get namespace "$namespace" >/dev/null 2>&1 || kubectl create namespace "$namespace"
  "$plugin" install -n "$namespace" --image "$image"
  next_steps "$namespace" "$image"
}

main "$@"
