# shellcheck shell=bash
# Sourced: a program that is no part of this project, compiled from a Go module into the cache, once for each version.
CACHE=${VOLRESIZE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-volresize}
readonly ARTEFACTS=$CACHE/artefacts

say() { printf '%s\n' "$*" >&2; }

# The folder with the module's own files in it, read-only.
module_folder() {
  local module=$1 version=$2 found
  # From a folder without a go.mod, whose versions would be taken instead.
  found=$(cd / && GOFLAGS='' GOWORK=off go mod download -json "$module@$version") || {
    say "$found"
    say "error: $module $version comes from the Go module proxy (go env GOPROXY), which must be reachable the first time"
    return 1
  }
  python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])' <<<"$found"
}

# Nothing of the caller's Go settings gets in, but for where modules come from: the name of the folder in the cache does not know them. In the module's
# own folder its go.sum says of every dependency which one it was tested with; `go install MODULE@VERSION` would also ask which other versions there are.
compile() {
  local source=$1 package=$2 program=$3
  (cd "$source" && CGO_ENABLED=0 GOFLAGS='' GOWORK=off GOOS='' GOARCH='' \
    nice -n 10 go build -p 2 -buildvcs=false -trimpath -ldflags '-s -w' -o "$program" "$package") >&2
}

# in_cache NAME VERSION: prints the folder, after `build FOLDER` of the script that sources this has filled it. With VOLRESIZE_COMPILE=no only what is
# there already, else exit code 3.
in_cache() {
  local name=$1 version=$2 folder lock
  folder=$ARTEFACTS/$name-$version
  mkdir -p "$ARTEFACTS"
  exec {lock}>"$ARTEFACTS/.$name.lock"
  flock "$lock"
  if [[ ! -d "$folder" ]]; then
    [[ "${VOLRESIZE_COMPILE:-}" != no ]] || {
      say "$name $version is not compiled yet"
      return 3
    }
    command -v go >/dev/null || {
      say "error: $name is compiled from its source, and there is no Go compiler: install Go 1.21 or later"
      return 1
    }
    say "$name: compiling $version"
    rm -rf "$folder.partial"
    mkdir "$folder.partial"
    build "$folder.partial" || {
      say "error: $name $version could not be compiled"
      return 1
    }
    mv "$folder.partial" "$folder"
  fi
  exec {lock}>&-
  printf '%s\n' "$folder"
}
