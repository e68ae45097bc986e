#!/usr/bin/env bash
# Puts an image archive (docker save, OCI) into every node, where imagePullPolicy IfNotPresent finds it. Usage: load-image.sh FILE.tar
set -euo pipefail

# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
  local archive=${1:?usage: load-image.sh FILE.tar} nodes
  [[ -r "$archive" ]] || fail "$archive cannot be read"
  need_root
  lock_cache
  [[ -e "$CLUSTER_DIR/stamp" ]] || fail "no cluster is up (hack/cluster.sh up)"
  nodes=$(sed 's/.*NODES=//' "$CLUSTER_DIR/stamp")
  import_everywhere "$nodes" "$archive" || fail "$archive could not be imported"
  say "cluster: $(basename "$archive") is in $nodes node(s)"
}

main "$@"
