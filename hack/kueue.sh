#!/usr/bin/env bash
# Kueue's manager, compiled from its own source into the cache, once for each version. The last line of stdout is the folder: `kueue`, and `crds/`.
# Four to ten minutes, a Go compiler and a Go module proxy the first time; afterwards neither is needed.
set -euo pipefail

# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/go-module.sh"

readonly MODULE=sigs.k8s.io/kueue
# The newest that the module proxy serves.
readonly VERSION=v0.17.0
# Where it reads the certificate of its metrics from, which cannot be said to it; a process on this machine has a folder of its own to run in.
readonly CERTIFICATES='"/etc/kueue/metrics/certs"'

build() {
  local folder=$1 source
  source=$(module_folder "$MODULE" "$VERSION") || return 1
  # As they are stored, and without the patches that have a webhook convert older versions.
  cp -r --no-preserve=mode "$source/config/components/crd/bases" "$folder/crds" || return 1
  cp -r --no-preserve=mode "$source" "$folder/source" || return 1
  grep -qF "$CERTIFICATES" "$folder/source/cmd/kueue/main.go" || {
    say "error: $CERTIFICATES is not in Kueue's main.go any more"
    return 1
  }
  sed -i "s|$CERTIFICATES|\"certs\"|" "$folder/source/cmd/kueue/main.go" || return 1
  compile "$folder/source" ./cmd/kueue "$folder/kueue" || return 1
  rm -rf "$folder/source"
}

main() { in_cache kueue "$VERSION"; }

main "$@"
