#!/usr/bin/env bash
# krew and the validator of its index, compiled from their own source into the cache, once for each version. The last line of stdout is the folder.
# 30 s, a Go compiler and a Go module proxy the first time; afterwards neither is needed.
set -euo pipefail

# The newest; krew says nothing of what it will do to manifests later.
readonly VERSION=v0.5.0
CACHE=${VOLRESIZE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-volresize}
readonly ARTEFACTS=$CACHE/artefacts

say() { printf '%s\n' "$*" >&2; }

# Nothing of the caller's Go settings gets in, but for where modules come from: the name of the folder does not know them.
build() {
  local folder=$1
  command -v go >/dev/null || {
    say 'error: krew is compiled from its source, and there is no Go compiler: install Go 1.21 or later'
    return 1
  }
  say "krew: compiling $VERSION"
  rm -rf "$folder.partial"
  # From a folder without a go.mod, whose versions would be taken instead.
  (cd / && CGO_ENABLED=0 GOFLAGS='' GOWORK=off GOOS='' GOARCH='' GOBIN=$folder.partial nice -n 10 go install -p 2 -trimpath -ldflags '-s -w' \
    "sigs.k8s.io/krew/cmd/krew@$VERSION" "sigs.k8s.io/krew/cmd/validate-krew-manifest@$VERSION") >&2 || {
    say "error: krew $VERSION could not be compiled; it comes from the Go module proxy (go env GOPROXY), which must be reachable the first time"
    return 1
  }
  # As `kubectl krew`, which the validator runs.
  ln -s krew "$folder.partial/kubectl-krew"
  mv "$folder.partial" "$folder"
}

main() {
  local folder
  folder=$ARTEFACTS/krew-$VERSION
  mkdir -p "$ARTEFACTS"
  exec {lock}>"$ARTEFACTS/.krew.lock"
  flock "$lock"
  [[ -d "$folder" ]] || build "$folder"
  exec {lock}>&-
  printf '%s\n' "$folder"
}

main "$@"
