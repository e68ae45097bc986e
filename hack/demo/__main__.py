"""`make demo`: an application writes all the time, its volumes are made smaller, and everything that we promise is checked by bystanders.

In the namespace volresize-demo, deleted and made anew each time. Exits with 1 when a promise is broken. What it uses: hack/test-manifests/ for the
application and its data, hack/manifest.py for the contents, kubectl's watches for the times, and of the product only its command line.
"""
from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import report
import timeline
import yaml
from cluster import ROOT, Broken, Object, fresh_namespace, get, kubectl, say, show, volumes_of
from report import Promise, Replica, Volume
from timeline import Swap, Watch

NAMESPACE = "volresize-demo"
SET = "test-sts"
RESIZED, SIZE = "data", "500Mi"
MANIFESTS = ROOT / "hack" / "test-manifests"


def application(image: str) -> str:
    """test-manifests/statefulset.yaml with the container of tools-container.yaml, as one stream."""
    documents = list(yaml.safe_load_all((MANIFESTS / "statefulset.yaml").read_text()))
    extra = yaml.safe_load((MANIFESTS / "tools-container.yaml").read_text())["spec"]["template"]["spec"]["containers"]
    for document in documents:
        if document["kind"] == "StatefulSet":
            document["spec"]["template"]["spec"]["containers"] += [container | {"image": image} for container in extra]
    return str(yaml.safe_dump_all(documents))


# ------------------------------------------------------------------------------------------------------------------------- what is there

def pods() -> list[str]:
    found = get("pods", "-n", NAMESPACE, "-l", f"app={SET}")
    return sorted((str(pod["metadata"]["name"]) for pod in found), key=lambda name: int(name.rpartition("-")[2]))


def the_set() -> Object:
    return get("statefulset", SET, "-n", NAMESPACE)[0]


def in_pod(pod: str, *arguments: str) -> str:
    """What hack/manifest.py says, run in the pod itself."""
    script = (ROOT / "hack" / "manifest.py").read_text()
    return kubectl("exec", "-i", "-n", NAMESPACE, pod, "-c", "tools", "--", "python3", "-", *arguments, given=script)


def size_kib(pod: str, volume: str) -> int:
    """Of the file system, as the application sees it."""
    return int(kubectl("exec", "-n", NAMESPACE, pod, "-c", "app", "--", "df", "-k", f"/{volume}").splitlines()[-1].split()[1])


def picture(pod: str, volume: str, before: Volume | None = None) -> Volume:
    """One volume as it is now; `before`: its earlier picture, whose last line the journal must still have."""
    entries = [json.loads(line) for line in in_pod(pod, f"/{volume}", "--exclude", "journal").splitlines()]
    # A hard-linked file counts once.
    allocated = sum(entry["allocated"] for entry in entries if entry.get("same_as", entry["path"]) == entry["path"])
    journal = json.loads(in_pod(pod, "--journal", f"/{volume}/journal", "--of", pod, "--at", str(before.lines if before else 0)))
    claim = get("persistentvolumeclaim", f"{volume}-{pod}", "-n", NAMESPACE)[0]
    # Blocks may differ from one file system to the next.
    bare = [json.dumps({key: value for key, value in entry.items() if key != "allocated"}, sort_keys=True) for entry in entries]
    return Volume(pod=pod, name=volume, claim=claim["metadata"]["name"], requested=claim["spec"]["resources"]["requests"]["storage"],
                  persistent_volume=claim["spec"]["volumeName"], size_kib=size_kib(pod, volume), digest=_digest(bare), entries=tuple(bare),
                  allocated=allocated, lines=journal["lines"], sum=journal["sum"], sum_before=journal["sum_at"],
                  longest_pause=journal["longest_pause"])


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def pictures(before: tuple[Volume, ...] = ()) -> tuple[Volume, ...]:
    names = [template["metadata"]["name"] for template in the_set()["spec"]["volumeClaimTemplates"]]
    known = {(volume.pod, volume.name): volume for volume in before}
    wanted = [(pod, name) for pod in pods() for name in names]
    with ThreadPoolExecutor(2) as pool:
        return tuple(pool.map(lambda key: picture(key[0], key[1], known.get(key)), wanted))


# ------------------------------------------------------------------------------------------------------------------------- the acts

def migrate() -> tuple[list[timeline.Seen], list[timeline.Seen], float]:
    """The two commands of the README, under the eyes of two watches: events of the set, events of the pods, seconds from submit to the end."""
    show("kubectl", "volresize", "install", "-n", NAMESPACE)
    watched_set = Watch("statefulsets", "-n", NAMESPACE, "--field-selector", f"metadata.name={SET}")
    watched_pods = Watch("pods", "-n", NAMESPACE, "--selector", f"app={SET}")
    begun = time.monotonic()
    try:
        show("kubectl", "volresize", "submit", SET, "-n", NAMESPACE, "--volume", f"{RESIZED}={SIZE}")
        show("kubectl", "volresize", "logs", SET, "-n", NAMESPACE, "-f")
        took = time.monotonic() - begun
        kubectl("rollout", "status", f"statefulset/{SET}", "-n", NAMESPACE, "--timeout", "120s")
    finally:
        seen = watched_set.stop(), watched_pods.stop()
    return *seen, took


def look(set_events: list[timeline.Seen], pod_events: list[timeline.Seen], after: tuple[Volume, ...]) -> list[Replica]:
    """The times of each replica; a swap belongs to the pod that was not Ready when it began."""
    swaps: list[Swap] = timeline.swaps(set_events)
    replicas = []
    for pod in dict.fromkeys(volume.pod for volume in after):
        spans = timeline.not_ready(pod_events, pod)
        mine = [swap for swap in swaps if any(span.start <= swap.frozen.start <= span.end for span in spans)]
        replicas.append(Replica(pod=pod, not_ready=tuple(spans), swaps=tuple(mine),
                                silent=max(volume.longest_pause for volume in after if volume.pod == pod),
                                lives=len(timeline.lives(pod_events, pod)), restarts=timeline.restarts(pod_events, pod)))
    return replicas


def set_promises(before: Object, after: Object) -> list[Promise]:
    wanted = copy.deepcopy(before["spec"])
    for template in wanted["volumeClaimTemplates"]:
        if template["metadata"]["name"] == RESIZED:
            template["spec"]["resources"]["requests"]["storage"] = SIZE
    return [Promise(f"the set is as it was, but for {RESIZED} of {SIZE} in volumeClaimTemplates", _bare(after["spec"]) == _bare(wanted)),
            Promise("the set runs the same revision", after["status"]["updateRevision"] == before["status"]["updateRevision"])]


def _bare(spec: Object) -> Object:
    """Without what the API server keeps about the templates."""
    return spec | {"volumeClaimTemplates": [template | {"status": {}} for template in spec["volumeClaimTemplates"]]}


def old_volumes(before: tuple[Volume, ...]) -> tuple[dict[str, str], list[Promise]]:
    """What became of the volumes that were replaced: a word for the table for each pod, and the promise that they were kept."""
    there = {str(volume["metadata"]["name"]): volume for volume in volumes_of(NAMESPACE)}
    words, promises = {}, []
    for old in (volume for volume in before if volume.name == RESIZED):
        kept = there.get(old.persistent_volume)
        words[old.pod] = f"{kept['spec']['persistentVolumeReclaimPolicy']}, {kept['status']['phase']}" if kept else "gone"
        promises.append(Promise(f"{old.pod}: the old volume is kept", words[old.pod] == "Retain, Released",
                                f"{old.persistent_volume}: {words[old.pod]}"))
    return words, promises


def leftovers() -> list[Promise]:
    """Nothing of ours may be left but the record, its Job and the old volumes."""
    movers = [pod["metadata"]["name"] for pod in get("pods", "-n", NAMESPACE) if "migrator" in pod["metadata"]["name"]]
    expected = {f"{template['metadata']['name']}-{pod}" for template in the_set()["spec"]["volumeClaimTemplates"] for pod in pods()}
    claims = {str(claim["metadata"]["name"]) for claim in get("persistentvolumeclaims", "-n", NAMESPACE)} - expected
    marked = [f"{item['kind']} {item['metadata']['name']}" for item in get("pods,statefulsets,persistentvolumeclaims,volumeresizes", "-n", NAMESPACE)
              if any(name.startswith("storage.maurice.fr/") for name in item["metadata"].get("finalizers", ()))]
    leases = [lease["metadata"]["name"] for lease in get("leases", "-n", NAMESPACE)]
    return [Promise("no mover is left", not movers, ", ".join(movers)), Promise("no temporary claim is left", not claims, ", ".join(sorted(claims))),
            Promise("no hold, no freeze, no other finalizer of ours is left", not marked, ", ".join(marked)),
            Promise("no Lease is left", not leases, ", ".join(leases))]


def scale_up(replicas: int) -> Promise:
    """A replica that comes later gets the new size by itself."""
    show("kubectl", "scale", f"statefulset/{SET}", "-n", NAMESPACE, f"--replicas={replicas}")
    kubectl("rollout", "status", f"statefulset/{SET}", "-n", NAMESPACE, "--timeout", "120s")
    show("kubectl", "get", "persistentvolumeclaims", "-n", NAMESPACE)
    newest = f"{SET}-{replicas - 1}"
    claim = get("persistentvolumeclaim", f"{RESIZED}-{newest}", "-n", NAMESPACE)[0]
    requested = claim["spec"]["resources"]["requests"]["storage"]
    return Promise(f"a new replica gets {SIZE}", requested == SIZE, f"{newest} has {requested}, {size_kib(newest, RESIZED) >> 10} MiB for df")


def demonstrate(image: str) -> list[Promise]:
    say(f"An application of two replicas that writes all the time, in the fresh namespace {NAMESPACE}")
    fresh_namespace(NAMESPACE)
    kubectl("apply", "-n", NAMESPACE, "-f", "-", given=application(image))
    show(str(MANIFESTS / "populate-data.sh"), "-n", NAMESPACE, SET)
    show("kubectl", "get", "pods,persistentvolumeclaims", "-n", NAMESPACE)
    say("Every entry of every volume is written down")
    before, set_before = pictures(), the_set()

    say("The migration")
    set_events, pod_events, took = migrate()

    say("Every entry of every volume is written down again")
    after, set_after = pictures(before), the_set()
    replicas = look(set_events, pod_events, after)
    words, kept = old_volumes(before)
    promises = report.content_promises(before, after, RESIZED, SIZE) + report.time_promises(replicas) + kept
    promises += set_promises(set_before, set_after) + leftovers()

    say("What kubectl knows of it")
    show("kubectl", "wait", "-n", NAMESPACE, "--for=condition=Ready", f"volumeresize/{SET}", "--timeout=5s")
    show("kubectl", "get", "volumeresizes", "-n", NAMESPACE)
    show("kubectl", "describe", "volumeresize", SET, "-n", NAMESPACE, lines=30)
    show("kubectl", "explain", "volumeresize.spec.volumes")

    say("One replica more")
    promises.append(scale_up(len(replicas) + 1))

    say(f"The result, {took:.1f} s after submit")
    print(report.volume_table(before, after), report.replica_table(replicas, words), sep="\n\n")
    return promises


def main() -> None:
    begun = time.monotonic()
    image = os.environ.get("VOLRESIZE_IMAGE")
    if not image or not os.environ.get("KUBECONFIG"):
        sys.exit("error: KUBECONFIG and VOLRESIZE_IMAGE are not set; `make demo` brings up what they name")
    try:
        promises = demonstrate(image)
    except (Broken, RuntimeError, subprocess.SubprocessError) as error:
        sys.exit(f"error: {error}")
    print("\n" + "\n".join(map(str, promises)))
    broken = [promise for promise in promises if not promise.kept]
    prepared = os.environ.get("VOLRESIZE_PREPARED_IN", "0")
    print(f"\n{len(promises)} promises, {len(broken)} broken; {time.monotonic() - begun:.0f} s, and {prepared} s before that for cluster and image")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
