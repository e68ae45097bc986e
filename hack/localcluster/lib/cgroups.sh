# shellcheck shell=bash
# Our cgroup in every hierarchy: the kubelets' pods live below it, and whatever lives below it is ours to kill, whoever started it.

hierarchies() { awk '$(NF - 2) == "cgroup" || $(NF - 2) == "cgroup2" { print $5 }' /proc/self/mountinfo; }

our_cgroups() {
  local hierarchy
  while IFS= read -r hierarchy; do
    if [[ -d "$hierarchy/$CLUSTER" ]]; then
      printf '%s/%s\n' "$hierarchy" "$CLUSTER"
    fi
  done < <(hierarchies)
}

make_cgroup() {
  local hierarchy=$1 path=$2 parent file
  mkdir -p "$hierarchy/$path"
  parent=$(dirname "$hierarchy/$path")
  # cgroup v1: a new cpuset is empty and takes no process until these are set.
  for file in cpuset.cpus cpuset.mems; do
    if [[ -e "$hierarchy/$path/$file" && -z "$(<"$hierarchy/$path/$file")" && -s "$parent/$file" ]]; then
      cat "$parent/$file" >"$hierarchy/$path/$file"
    fi
  done
}

# cgroup v2: children have no controllers until their parent passes them on.
pass_on_controllers() {
  local cgroup=$1 controller
  if [[ -e "$cgroup/cgroup.controllers" ]]; then
    for controller in $(<"$cgroup/cgroup.controllers"); do
      echo "+$controller" >"$cgroup/cgroup.subtree_control" 2>/dev/null || say "cluster: $cgroup cannot pass on the controller $controller"
    done
  fi
}

make_cgroups() {
  local nodes=$1 hierarchy n
  while IFS= read -r hierarchy; do
    pass_on_controllers "$hierarchy"
    make_cgroup "$hierarchy" "$CLUSTER"
    pass_on_controllers "$hierarchy/$CLUSTER"
    make_cgroup "$hierarchy" "$CLUSTER/servers"
    for ((n = 1; n <= nodes; n++)); do
      make_cgroup "$hierarchy" "$CLUSTER/node-$n"
    done
  done < <(hierarchies)
}

# One hierarchy is enough to know our processes by. Never v1's memory, cpu and the like: there the caller's limits hold for us as well.
marking_hierarchy() {
  awk '$(NF - 2) == "cgroup2" { print $5; found = 1; exit }
       $(NF - 2) == "cgroup" && $NF ~ /freezer/ { freezer = $5 }
       END { if (!found) print freezer }' /proc/self/mountinfo
}

join_cgroup() { echo "$BASHPID" >"$(marking_hierarchy)/$CLUSTER/servers/cgroup.procs"; }

cgroup_pids() {
  local cgroup
  while IFS= read -r cgroup; do
    find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done < <(our_cgroups) | sort -un
}

remove_cgroups() {
  local cgroup
  while IFS= read -r cgroup; do
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done < <(our_cgroups)
  [[ -z "$(our_cgroups)" ]]
}
