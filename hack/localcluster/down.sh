#!/usr/bin/env bash
# Takes the cluster of this machine away, whatever state it is in. What was compiled stays in the cache.
set -euo pipefail

# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
  local other
  need_root
  lock_cache
  other=$(owner)
  if [[ -n "$other" && "$other" != "$CLUSTER_DIR" ]]; then
    say "cluster: the one that runs belongs to another cache, $(dirname "$other"); it stays"
    return
  fi
  clean "$CLUSTER_DIR"
  say "cluster: down"
}

main "$@"
