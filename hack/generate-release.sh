#!/usr/bin/env bash
# Everything that a release consists of beside the image, into dist/ or the folder named:
#
#   install.yaml                what `kubectl volresize install` applies to the whole cluster
#   kubectl-volresize.tar.gz    the plugin with its dependencies as one program, and the LICENSE; one archive for linux and macOS
#   volresize.yaml              krew-manifest.yaml with version, address and checksum of that archive, for krew-index/plugins/
#
# Usage: hack/generate-release.sh [FOLDER]   The same checkout gives the same bytes. The dependencies are kept in the cache.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${VOLRESIZE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-volresize}
readonly ROOT
readonly ARTEFACTS=$CACHE/artefacts
readonly REQUIREMENTS=$ROOT/job-image/requirements.txt

say() { printf '%s\n' "$*" >&2; }

# The versions and hashes of the image: what the plugin runs with is what it was tested with. Whole or not at all.
dependencies() {
  local python=$1 folder
  folder=$ARTEFACTS/release-$({ cat "$REQUIREMENTS" && "$python" --version && uname -sm; } | sha256sum | cut -c 1-12)
  mkdir -p "$ARTEFACTS"
  exec {lock}>"$ARTEFACTS/.release.lock"
  flock "$lock"
  if [[ ! -d "$folder" ]]; then
    say "release: fetching the dependencies"
    rm -rf "$ARTEFACTS"/release-*
    "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile --no-deps --require-hashes --only-binary ':all:' \
      --target "$folder.partial" --requirement "$REQUIREMENTS" >&2
    # Programs of theirs, with the path of this machine's Python in their first line.
    rm -rf "$folder.partial/bin"
    mv "$folder.partial" "$folder"
  fi
  exec {lock}>&-
  printf '%s\n' "$folder"
}

# As setup.cfg maps it. Not by pip, which would need the network for its build tools.
package() {
  local folder=$1
  tar --create --directory "$ROOT" --exclude=__pycache__ kubectl_volresize | tar --extract --directory "$folder" --no-same-owner
  tar --create --directory "$ROOT" --exclude=__pycache__ templates | tar --extract --directory "$folder/kubectl_volresize" --no-same-owner
}

krew_entry() {
  local version=$1 checksum=$2
  sed -e '/^ *#/d' -e "s|^\( *version:\).*|\1 v$version|" -e "s|^\( *uri: .*/download/\)v[^/]*/|\1v$version/|" -e "s|^\( *sha256:\).*|\1 \"$checksum\"|" \
    "$ROOT/krew-manifest.yaml"
}

main() {
  local out=${1:-$ROOT/dist} python version checksum
  python=$("$ROOT/hack/venv.sh" | tail -n 1)/bin/python
  version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' "$ROOT/kubectl_volresize/version.py")
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
  mkdir -p "$WORK/tree" "$WORK/out" "$out"
  cp -R "$(dependencies "$python")/." "$WORK/tree"
  package "$WORK/tree"
  "$python" "$ROOT/hack/release_archive.py" "$WORK/tree" "$ROOT/LICENSE" "$WORK/out/kubectl-volresize.tar.gz"
  # By the archive's own program: what cannot even do this is no release.
  tar --extract --directory "$WORK" --file "$WORK/out/kubectl-volresize.tar.gz" kubectl-volresize
  "$python" -IS "$WORK/kubectl-volresize" install --dry-run=client -o yaml >"$WORK/out/install.yaml"
  checksum=$(sha256sum "$WORK/out/kubectl-volresize.tar.gz" | cut -d ' ' -f 1)
  krew_entry "$version" "$checksum" >"$WORK/out/volresize.yaml"
  cp "$WORK/out"/* "$out"
  say "release: v$version in $out"
}

main "$@"
