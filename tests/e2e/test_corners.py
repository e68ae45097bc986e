"""Whole migrations in the corners of the controllers: replicas that start in order and do not begin at 0, a pod that is more than one container with
one mount and stops slowly, a set that was scaled down."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest
from application import NAME, Application
from history import History
from namespaces import Namespace, until
from test_refused_in_cluster import refused_by_submit
from test_three_replicas import ready
from test_two_volumes import RETENTION, claims_are_owned

from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster
SMALLER = ("--volume", "data=32Mi")


def migrate(application: Application) -> None:
    application.namespace.submit(NAME, *SMALLER)
    followed = application.namespace.follow(NAME)
    assert followed.returncode == 0, followed.stdout + followed.stderr


def sizes(application: Application) -> dict[int, str]:
    return {ordinal: application.claim(ordinal)["status"]["capacity"]["storage"] for ordinal in application.ordinals}


# -- OrderedReady, ordinals that begin at 3, minReadySeconds, claims that the set itself would delete

STEADY = 3  # minReadySeconds
IN_ORDER = {"podManagementPolicy": "OrderedReady", "ordinals": {"start": 3}, "minReadySeconds": STEADY}


@dataclass(frozen=True)
class InOrder:
    """`pods`: every state of the application's pods meanwhile; `claims`: every one that there was meanwhile, by name, as it was last."""

    application: Application
    pods: tuple[dict[str, Object], ...]
    claims: dict[str, Object]


@pytest.fixture(scope="module")
def in_order(new_namespace: Callable[[], Namespace]) -> InOrder:
    application = Application(new_namespace(), replicas=2, spec=IN_ORDER)
    application.start()
    application = replace(application, spec={**IN_ORDER, "persistentVolumeClaimRetentionPolicy": RETENTION})
    application.namespace.apply(application.manifest())
    until("the claims belong to the StatefulSet", lambda: claims_are_owned(application))
    with History(application.namespace, "pods") as pods, History(application.namespace, "persistentvolumeclaims") as claims:
        migrate(application)
    states = tuple({name: pod for name, pod in state.items() if pod["metadata"].get("labels", {}).get("app") == NAME} for state in pods.states())
    return InOrder(application, states, {item["metadata"]["name"]: item for _, item in claims.events()})


def test_each_replica_has_its_data_on_the_new_size(in_order: InOrder) -> None:
    application = in_order.application
    assert application.marks() == application.expected_marks() and set(application.marks()) == {"data-app-3", "data-app-4"}
    assert sizes(application) == {3: "32Mi", 4: "32Mi"} and application.template_sizes() == {"data": "32Mi"}


def test_no_replica_below_the_first_ordinal_ever_exists(in_order: InOrder) -> None:
    assert {name for state in in_order.pods for name in state} == {"app-3", "app-4"}
    assert set(in_order.claims) == {"data-app-3", "data-app-4", "data-app-3-new", "data-app-4-new"}
    assert in_order.application.namespace.names("persistentvolumeclaims") == {"data-app-3", "data-app-4"}
    spec = in_order.application.the_set()["spec"]
    assert {key: spec[key] for key in IN_ORDER} == IN_ORDER


def test_each_replica_is_replaced_once_and_only_one_is_away(in_order: InOrder) -> None:
    met = list(dict.fromkeys((name, pod["metadata"]["uid"]) for state in in_order.pods for name, pod in state.items()))
    assert [name for name, _ in met[2:]] == ["app-4", "app-3"]
    away = {tuple(name for name in ("app-3", "app-4") if not ready(state.get(name))) for state in in_order.pods}
    assert away == {(), ("app-4",), ("app-3",)}


def test_the_next_replica_is_not_begun_before_the_last_was_ready_for_min_ready_seconds(in_order: InOrder) -> None:
    since = next(one["lastTransitionTime"] for one in in_order.application.pod(4)["status"]["conditions"] if one["type"] == "Ready")
    # Not the moment at which its stop began: it is copied before that, which takes longer.
    begun = in_order.claims["data-app-3-new"]["metadata"]["creationTimestamp"]
    assert (datetime.fromisoformat(begun) - datetime.fromisoformat(since)).total_seconds() >= STEADY


def test_nothing_of_ours_is_left_in_a_set_that_owns_its_claims(in_order: InOrder) -> None:
    application = in_order.application
    assert application.the_set()["spec"]["persistentVolumeClaimRetentionPolicy"] == RETENTION
    until("the claims belong to the StatefulSet again", lambda: claims_are_owned(application))
    assert application.namespace.nothing_left() == []
    assert {application.volume_of(ordinal)["spec"]["persistentVolumeReclaimPolicy"] for ordinal in application.ordinals} == {"Delete"}


def test_the_set_deletes_the_claim_of_a_replica_that_is_scaled_away_afterwards_and_the_old_volume_stays(in_order: InOrder) -> None:
    namespace = in_order.application.namespace
    old = {entry["replica"]: entry["oldPVName"] for entry in namespace.migration(NAME)["status"]["volumeStatuses"]}
    namespace.kubectl("scale", "statefulset", NAME, "--replicas=1")
    until("only one claim is left", lambda: namespace.names("persistentvolumeclaims") == {"data-app-3"})
    assert in_order.application.on_volume(old[4], "/mark") == in_order.application.mark(4, "data")


# -- Parallel, two containers and a subPath on one volume, fsGroup, a slow stop

WRITERS = {"app": 60, "beside": 10}  # containers, and how many more lines each writes when it is told to stop
# 10 lines a second; the last one says how many there are, so that none can be lost unnoticed.
_WRITES = """n=0 left=-1
trap 'left=$MORE' TERM
mkdir -p /data/written
while [ $left -ne 0 ]; do n=$((n+1)); echo "$POD $n" >>/data/written/$WHO; sleep 0.1; left=$((left-1)); done
echo "$POD last of $n" >>/data/written/$WHO"""
# Modes and a group that a kubelet would change, were the root directory not as it should be: it must have come over right for these to stay.
_TREE = """mkdir -m 700 /data/tree /data/tree/closed; echo secret >/data/tree/secret; echo closed >/data/tree/closed/file; echo part >/part/inside
chmod 600 /data/tree/secret; chmod 444 /data/tree/closed/file; chgrp 0 /data/tree/closed/file
touch -d '2001-02-03 04:05:06' /part/inside /data/tree/secret /data/tree"""
_STAT = """cd /data; find . -path './written/*' -exec stat -c '%n %u %g %a' {} + \\
    -o -type d -exec stat -c '%n %u %g %a %Y' {} + -o -exec stat -c '%n %u %g %a %Y %s' {} +
sha256sum mark part/inside tree/secret tree/closed/file"""


@dataclass(frozen=True)
class Shared(Application):
    """Not root, and its volume belongs to a group; OnRootMismatch, or the kubelet would hide what a copy gets wrong."""

    def container(self, greeting: str, who: str = "app") -> Object:
        env = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}, {"name": "WHO", "value": who},
               {"name": "MORE", "value": str(WRITERS[who])}]
        return {**super().container(greeting), "name": who, "command": ["sh", "-c", _WRITES], "env": env}

    def manifest(self, *arguments: Any, **fields: Any) -> Object:
        made = super().manifest(*arguments, **fields)
        pod = made["spec"]["template"]["spec"]
        beside = {**self.container("", "beside"), "volumeMounts": list(pod["containers"][0]["volumeMounts"])}
        pod["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/part", "subPath": "part"})
        pod["containers"].append(beside)
        pod.update(terminationGracePeriodSeconds=30,
                   securityContext={"runAsUser": 1000, "fsGroup": 2000, "fsGroupChangePolicy": "OnRootMismatch"})
        return made

    def written(self, who: str) -> list[str]:
        return self.run(0, f"cat /data/written/{who}").splitlines()


@dataclass(frozen=True)
class Before:
    """`pod`: UID of the pod that was stopped; `files`: as `find` and `stat` saw them; `lines`: how many each container had written."""

    application: Shared
    pod: str
    files: list[str]
    lines: dict[str, int]


@pytest.fixture(scope="module")
def shared(new_namespace: Callable[[], Namespace]) -> Before:
    application = Shared(new_namespace(), spec={"podManagementPolicy": "Parallel"})
    application.start()
    application.run(0, _TREE)
    pod = str(application.pod(0)["metadata"]["uid"])
    before = Before(application, pod, files(application), {who: len(application.written(who)) for who in WRITERS})
    migrate(application)
    return before


def files(application: Shared) -> list[str]:
    return sorted(application.run(0, _STAT).splitlines())


def test_owners_groups_modes_and_times_are_what_they_were(shared: Before) -> None:
    root = next(line for line in shared.files if line.startswith(". "))
    assert root.startswith(". 0 2000 2"), "the root directory should belong to the group, with the setgid bit"
    assert files(shared.application) == shared.files
    assert sizes(shared.application) == {0: "32Mi"}


@pytest.mark.parametrize("who", WRITERS)
def test_what_a_container_writes_until_its_last_moment_is_there_and_the_next_goes_on_behind_it(shared: Before, who: str) -> None:
    pod = shared.application.pod(0)["metadata"]["uid"]
    lines = until("the next pod writes", lambda: seen if (seen := shared.application.written(who))[-1].startswith(pod) else None)
    count = sum(line.startswith(shared.pod) for line in lines) - 1
    assert lines[:count + 1] == [*(f"{shared.pod} {number}" for number in range(1, count + 1)), f"{shared.pod} last of {count}"]
    assert lines[count + 1:] == [f"{pod} {number}" for number in range(1, len(lines) - count)]
    # All that it writes once it is told to stop, and something before, while it was copied.
    assert count > shared.lines[who] + WRITERS[who]


def test_the_sub_path_is_a_part_of_the_new_volume(shared: Before) -> None:
    application = shared.application
    application.write(0, "/part/after", "seen by both")
    assert application.run(0, "cat /data/part/after /part/inside") == "seen by both\npart\n"
    assert application.run(0, "stat -c %d:%i /part") == application.run(0, "stat -c %d:%i /data/part")


def test_nothing_of_ours_is_left_in_a_pod_of_two_containers(shared: Before) -> None:
    assert shared.application.namespace.nothing_left() == []


# -- no replicas, and a claim beyond them: of one set, in this order


@pytest.fixture(scope="module")
def emptied(new_namespace: Callable[[], Namespace]) -> Application:
    """Of two replicas, scaled to none."""
    application = Application(new_namespace(), replicas=2)
    application.start()
    application.namespace.kubectl("scale", "statefulset", NAME, "--replicas=0")

    def seen() -> bool:
        found = application.the_set()
        counted = found["status"].get("observedGeneration") == found["metadata"]["generation"] and found["status"].get("replicas") == 0
        return counted and not application.namespace.names("pods", "-l", f"app={NAME}")
    until("its controller has counted none", seen)
    return application


@dataclass(frozen=True)
class Beyond:
    """A set of one replica after its migration, `claim` and `volume` of the one that there was not; `planned` and `said`: what was printed before."""

    application: Application
    claim: Object
    volume: Object
    planned: str
    said: str


@pytest.fixture(scope="module")
def beyond(emptied: Application) -> Beyond:
    namespace = emptied.namespace
    namespace.kubectl("scale", "statefulset", NAME, "--replicas=1")
    emptied.ready(1)
    claim, volume = emptied.claim(1), emptied.volume_of(1)
    planned, submitted = namespace.volresize("plan", NAME, *SMALLER), namespace.volresize("submit", NAME, *SMALLER)
    assert (planned.returncode, submitted.returncode) == (0, 0), planned.stderr + submitted.stderr
    followed = namespace.follow(NAME)
    assert followed.returncode == 0, followed.stdout + followed.stderr
    return Beyond(emptied, claim, volume, planned.stdout, submitted.stderr)


def test_a_set_without_replicas_is_refused_and_nothing_changes(emptied: Application) -> None:
    assert "statefulset/app has no replicas" in refused_by_submit(emptied, *SMALLER)
    assert "[no-replicas]" in refused_by_submit(emptied, *SMALLER, verb="plan")


def test_scaled_up_it_migrates_what_it_has(beyond: Beyond) -> None:
    assert beyond.application.run(0, "cat /data/mark").strip() == beyond.application.mark(0, "data")
    assert sizes(replace(beyond.application, replicas=1)) == {0: "32Mi"} and beyond.application.template_sizes() == {"data": "32Mi"}
    assert beyond.application.namespace.nothing_left() == []


def test_a_claim_beyond_the_replicas_is_warned_of_and_not_touched(beyond: Beyond) -> None:
    assert "[claim-beyond-replicas]" in beyond.planned
    for printed in (beyond.planned, beyond.said):
        assert "persistentvolumeclaim/data-app-1" in printed and "belongs to replica 1, which there is not now; it keeps 64Mi" in printed
    assert beyond.application.claim(1) == beyond.claim and beyond.application.volume_of(1) == beyond.volume


@pytest.fixture(scope="module")
def back(beyond: Beyond) -> Beyond:
    """Scaled up to two again."""
    beyond.application.namespace.kubectl("scale", "statefulset", NAME, "--replicas=2")
    beyond.application.ready()
    return beyond


def test_its_replica_comes_back_on_its_old_data(back: Beyond) -> None:
    application = back.application
    assert application.marks() == application.expected_marks() and sizes(application) == {0: "32Mi", 1: "64Mi"}
    assert application.claim(1)["metadata"]["uid"] == back.claim["metadata"]["uid"]
    assert application.mebibytes(0, "data") <= 32 < application.mebibytes(1, "data")


def test_scaled_up_first_it_migrates_too_and_alone(back: Beyond) -> None:
    application, first = back.application, back.application.claim(0)
    migrate(application)
    assert application.namespace.migration(f"{NAME}-2")["status"]["progress"] == "1/1"
    assert application.marks() == application.expected_marks() and sizes(application) == {0: "32Mi", 1: "32Mi"}
    assert application.claim(0) == first and application.namespace.nothing_left() == []


# -- OnDelete: its currentRevision never follows an update


@pytest.fixture(scope="module")
def on_delete(new_namespace: Callable[[], Namespace]) -> Application:
    """Updated once, and its pod was deleted since, as such a set wants it."""
    application = Application(new_namespace(), spec={"updateStrategy": {"type": "OnDelete"}})
    application.start()
    application.namespace.apply(application.manifest(greeting="updated"))
    application.namespace.kubectl("delete", "pod", "app-0")
    application.ready()
    return application


def test_a_set_that_is_updated_by_deletion_migrates_though_its_revisions_differ_for_ever(on_delete: Application) -> None:
    status = on_delete.the_set()["status"]
    assert status["currentRevision"] != status["updateRevision"]
    migrate(on_delete)
    assert on_delete.marks() == on_delete.expected_marks() and sizes(on_delete) == {0: "32Mi"}
    assert on_delete.run(0, "echo $GREETING").strip() == "updated"
    assert on_delete.the_set()["spec"]["updateStrategy"]["type"] == "OnDelete" and on_delete.namespace.nothing_left() == []
