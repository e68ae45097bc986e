#!/usr/bin/env bash
# The test cluster, whatever this machine has: the user's own (KUBECONFIG), kind (where a Docker engine answers), or hack/localcluster/ (without Docker).
#
#   cluster.sh up            brings it up, or finds it up       NODES=1|2 for hack/localcluster/ (default 2)
#   cluster.sh down          takes it away; one of the user's is never touched
#   cluster.sh load FILE     puts an image archive into its nodes
#   cluster.sh kubeconfig    prints the path that KUBECONFIG should have
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
readonly CLUSTER=volresize-test
readonly LOCAL_KUBECONFIG=${VOLRESIZE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-volresize}/cluster/kubeconfig

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

kind_of_cluster() {
  if [[ -n "${KUBECONFIG:-}" && "$KUBECONFIG" != "$LOCAL_KUBECONFIG" ]]; then
    printf 'user\n'
  elif [[ -z "${KUBECONFIG:-}" ]] && command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    printf 'kind\n'
  else
    printf 'local\n'
  fi
}

up_user() {
  kubectl get --raw /readyz --request-timeout 10s >/dev/null || fail "the cluster of KUBECONFIG=$KUBECONFIG does not answer; unset KUBECONFIG for one of our own"
  say "cluster: the one of KUBECONFIG=$KUBECONFIG answers; it is used as it is"
}
down_user() { say "cluster: KUBECONFIG=$KUBECONFIG is your own cluster; nothing was touched"; }
load_user() { say "cluster: KUBECONFIG=$KUBECONFIG is your own cluster; push $1 to a registry that it can reach, or load it into its nodes yourself"; }
kubeconfig_user() { printf '%s\n' "$KUBECONFIG"; }

up_kind() { "$HERE/setup-kind.sh"; }
down_kind() { "$HERE/teardown-kind.sh"; }
load_kind() { kind load image-archive "$1" --name "$CLUSTER"; }
kubeconfig_kind() { printf '%s\n' "$HOME/.kube/config"; }

up_local() { "$HERE/localcluster/up.sh"; }
down_local() { "$HERE/localcluster/down.sh"; }
load_local() { "$HERE/localcluster/load-image.sh" "$1"; }
kubeconfig_local() { printf '%s\n' "$LOCAL_KUBECONFIG"; }

main() {
  case "${1:-} $#" in
    'up 1' | 'down 1' | 'kubeconfig 1') ;;
    'load 2') [[ -r "$2" ]] || fail "$2 cannot be read" ;;
    *) usage ;;
  esac
  "$1_$(kind_of_cluster)" "${@:2}"
}

main "$@"
