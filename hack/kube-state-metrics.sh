#!/usr/bin/env bash
# kube-state-metrics, compiled from its own source into the cache, once for each version. The last line of stdout is the folder.
# Two minutes, a Go compiler and a Go module proxy the first time; afterwards neither is needed.
set -euo pipefail

# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/go-module.sh"

readonly MODULE=k8s.io/kube-state-metrics/v2
# The newest that the module proxy serves.
readonly VERSION=v2.15.0

build() {
  local folder=$1 source
  source=$(module_folder "$MODULE" "$VERSION") || return 1
  compile "$source" . "$folder/kube-state-metrics"
}

main() { in_cache kube-state-metrics "$VERSION"; }

main "$@"
