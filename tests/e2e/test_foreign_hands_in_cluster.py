"""The most telling rows of docs/foreign-hands.md with real controllers and a real kubelet. The application is slow to stop, so that there is time to
interfere while its pod is held and its process lives; and what it wrote until its last moment is compared with what is on the new volume.

All hands are at work at once, each in a namespace of its own, since most of the time goes by waiting for the application to stop."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from application import NAME, Application
from history import History
from namespaces import Namespace, until

from kubectl_volresize.errors import ApiError, NotFound
from kubectl_volresize.kube import paths
from kubectl_volresize.kube.auth import from_kubeconfig
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster
GRACE = 12     # seconds that the application takes to stop: it does not hear SIGTERM
AT_ONCE = 4
_SECONDS = 300  # until what has to come counts as not coming, on a machine that has all of this to do at once
OLD, NEW = "64Mi", "32Mi"
_TICKS = "trap '' TERM; n=0; while :; do n=$((n+1)); echo \"$HOSTNAME $n\" >>/data/ticks; sleep 0.05; done"
_CREATORS = 2  # operators that try to create the set at once
_PAUSE = 0.005


@dataclass(frozen=True)
class Stubborn(Application):
    """Writes a line every 0.05 s until it is killed."""

    def container(self, greeting: str) -> Object:
        return {**super().container(greeting), "command": ["sh", "-c", _TICKS]}

    def manifest(self, *arguments: Any, **fields: Any) -> Object:
        made = super().manifest(*arguments, **fields)
        made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = GRACE
        return made

    def client(self) -> Client:
        return from_kubeconfig(self.namespace.kubeconfig).client

    def entry(self) -> Object:
        """The record of the first replica's volume."""
        found: Object = self.namespace.migration(NAME)["status"]["volumeStatuses"][0]
        return found

    def ends(self) -> tuple[str, str]:
        """Reason and message of the condition Ready."""
        found = next(one for one in self.namespace.migration(NAME)["status"]["conditions"] if one["type"] == labels.READY)
        return found["reason"], self.namespace.migration(NAME)["status"]["message"]

    def told_to_stop(self) -> None:
        """Until the highest replica is held and terminating; its process has most of its grace before it then."""
        def seen() -> bool:
            pod = self.pod(self.replicas - 1)["metadata"]
            return "deletionTimestamp" in pod and labels.HOLD_FINALIZER in pod.get("finalizers", ())
        until("the pod is held and told to stop", seen, _SECONDS)

    def frozen(self, client: Client) -> Object:
        """Until the set is frozen; as it is then. Raises AssertionError when it is over before it was seen."""
        path = paths.statefulsets(self.namespace.name, NAME)
        uid, deadline = client.get(path)["metadata"]["uid"], time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            found = client.find(path)
            if found is not None and found["metadata"].get("deletionTimestamp"):
                return found
            assert found is None or found["metadata"]["uid"] == uid, "the set was frozen and thawed between two looks"
            time.sleep(_PAUSE)
        raise AssertionError(f"the set was not frozen within {_SECONDS} s")

    def end(self) -> int:
        """Wait for it; the exit code of `logs -f`."""
        until("the migration is over", lambda: self.namespace.migration(NAME).get("status", {}).get("phase") in labels.TERMINAL, _SECONDS)
        return self.namespace.follow(NAME).returncode


@dataclass
class Played:
    """A migration at its end. `code`: of `logs -f`; `told`: what the hand has seen; `volume`: name of the old volume."""

    application: Stubborn
    volume: str
    uids: dict[str, str]
    code: int | None = None
    told: dict[str, Any] = field(default_factory=dict)


Hand = Callable[[Stubborn, dict[str, Any]], bool | None]
HANDS: dict[str, tuple[Hand, int]] = {}


def hand(replicas: int = 1) -> Callable[[Hand], Hand]:
    """Registers what interferes, with an application of so many replicas. It returns True when it has seen the end itself."""
    def registered(act: Hand) -> Hand:
        HANDS[act.__name__] = (act, replicas)
        return act
    return registered


def play(make: Callable[[], Namespace], act: Hand, replicas: int) -> Played:
    application = Stubborn(make(), volumes={"data": OLD}, replicas=replicas)
    application.start()
    played = Played(application, application.volume_of(replicas - 1)["metadata"]["name"], application.claim_uids())
    application.namespace.submit(NAME, "--volume", f"data={NEW}")
    if not act(application, played.told):
        played.code = application.end()
    return played


@pytest.fixture(scope="module")
def played(new_namespace: Callable[[], Namespace]) -> Iterator[Callable[[Hand], Played]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {name: pool.submit(play, new_namespace, *what) for name, what in HANDS.items()}
        yield lambda act: futures[act.__name__].result()


def demand_complete(end: Played, replicas: int = 1) -> None:
    """All on the new size with every byte, and nothing of ours left."""
    application = end.application
    assert end.code == 0, application.namespace.migration(NAME)["status"]["message"]
    assert application.marks() == application.expected_marks()
    assert {application.claim(ordinal)["status"]["capacity"]["storage"] for ordinal in range(replicas)} == {NEW}
    assert application.template_sizes() == {"data": NEW}
    assert application.namespace.nothing_left() == []


def demand_back(end: Played) -> None:
    """On the original claims with every byte, and nothing of ours left."""
    application = end.application
    application.ready()
    assert application.marks() == application.expected_marks()
    assert application.claim_uids() == end.uids
    assert application.namespace.nothing_left() == []


# -- while the pod is held and its process lives


@hand()
def force_deletion(application: Stubborn, told: dict[str, Any]) -> None:
    application.told_to_stop()
    application.namespace.kubectl("delete", "pod", f"{NAME}-0", "--force", "--grace-period=0", "--wait=false")
    pod = application.pod(0)
    told["grace"] = pod["metadata"]["deletionGracePeriodSeconds"]
    told["running"] = "running" in pod["status"]["containerStatuses"][0]["state"]
    told["final"] = application.entry().get("final")


@pytest.mark.row("pod-forced-alive")
def test_what_a_pod_deleted_by_force_writes_until_its_process_ends_is_on_the_new_volume(played: Callable[[Hand], Played]) -> None:
    end = played(force_deletion)
    assert end.told == {"grace": 0, "running": True, "final": None}, "the object was at its end, the process was not, and nothing was called final"
    demand_complete(end)
    old = end.application.on_volume(end.volume, "/ticks").splitlines()
    new = end.application.run(0, "cat /data/ticks").splitlines()
    # Half its grace at least lies between the deletion and its end.
    assert len(old) > GRACE / 2 / 0.1 and new[:len(old)] == old
    assert new[len(old)] == f"{NAME}-0 1"


@hand(replicas=2)
def rollout(application: Stubborn, told: dict[str, Any]) -> None:
    application.told_to_stop()
    application.namespace.apply(application.manifest(greeting="edited"))


@pytest.mark.row("rollout-stopped")
def test_a_rollout_that_comes_while_the_pod_stops_is_let_go_on(played: Callable[[Hand], Played]) -> None:
    end = played(rollout)
    reason, message = end.application.ends()
    assert end.code == 5 and reason == "Resumable" and "a rollout is in progress" in message
    demand_back(end)
    assert [end.application.run(ordinal, "echo $GREETING").strip() for ordinal in (0, 1)] == ["edited", "edited"]


@hand()
def scaling_up(application: Stubborn, told: dict[str, Any]) -> None:
    application.told_to_stop()
    application.namespace.kubectl("scale", "statefulset", NAME, "--replicas=2")


@pytest.mark.row("scaled-up-stopped")
def test_a_replica_that_is_added_while_another_one_stops_comes_after_its_exchange(played: Callable[[Hand], Played]) -> None:
    end = played(scaling_up)
    end.application.ready(2)
    demand_complete(end, replicas=2)


@hand()
def claim_deletion(application: Stubborn, told: dict[str, Any]) -> None:
    application.told_to_stop()
    application.namespace.kubectl("delete", "persistentvolumeclaim", f"data-{NAME}-0", "--wait=false")


@pytest.mark.row("claim-deleted")
def test_a_claim_that_is_deleted_while_its_pod_stops_is_replaced_with_all_its_data(played: Callable[[Hand], Played]) -> None:
    demand_complete(played(claim_deletion))


@hand()
def old_volume_deletion(application: Stubborn, told: dict[str, Any]) -> None:
    application.told_to_stop()
    application.namespace.kubectl("delete", "persistentvolume", application.volume_of(0)["metadata"]["name"], "--wait=false")


@pytest.mark.row("old-volume-deleted")
def test_an_old_volume_that_is_deleted_while_its_pod_stops_keeps_its_claim(played: Callable[[Hand], Played]) -> None:
    end = played(old_volume_deletion)
    reason, message = end.application.ends()
    assert end.code == 5 and reason == "Resumable" and f"volume {end.volume} is being deleted by somebody" in message
    demand_back(end)
    assert end.application.claim(0)["status"]["phase"] == "Bound"


@hand()
def new_volume_deletion(application: Stubborn, told: dict[str, Any]) -> None:
    application.told_to_stop()
    application.namespace.kubectl("delete", "persistentvolume", application.entry()["newPVName"], "--wait=false")


@pytest.mark.row("new-volume-deleted")
def test_a_new_volume_that_is_deleted_while_the_pod_stops_puts_it_back(played: Callable[[Hand], Played]) -> None:
    end = played(new_volume_deletion)
    assert end.code == 5 and end.application.ends()[0] == "Resumable"
    demand_back(end)


@hand()
def mover_deletion(application: Stubborn, told: dict[str, Any]) -> None:
    application.told_to_stop()
    told["mover"] = application.namespace.get("pod", f"{NAME}-migrator-0-data")["metadata"]["uid"]
    application.namespace.kubectl("delete", "pod", f"{NAME}-migrator-0-data", "--force", "--grace-period=0")


@pytest.mark.row("mover-deleted")
def test_a_mover_that_is_deleted_while_the_pod_stops_is_followed_by_one_that_copies_all(played: Callable[[Hand], Played]) -> None:
    end = played(mover_deletion)
    demand_complete(end)
    assert end.told["mover"] not in end.application.entry()["verified"]


@hand()
def set_deletion(application: Stubborn, told: dict[str, Any]) -> None:
    application.told_to_stop()
    application.namespace.kubectl("delete", "statefulset", NAME, "--cascade=foreground", "--wait=false")


@pytest.mark.row("set-deleted")
def test_a_set_that_is_deleted_while_its_pod_stops_goes_and_its_claims_stand(played: Callable[[Hand], Played]) -> None:
    end = played(set_deletion)
    namespace = end.application.namespace
    assert end.code == 5 and end.application.ends()[0] == "Resumable"
    until("the set and its pods are gone", lambda: not namespace.names("statefulset", NAME) and not namespace.names("pods", "-l", f"app={NAME}"))
    assert namespace.nothing_left() == []
    end.application.namespace.apply(end.application.manifest())
    demand_back(end)


@hand()
def request_deletion(application: Stubborn, told: dict[str, Any]) -> bool:
    application.told_to_stop()
    application.namespace.kubectl("delete", "volumeresize", NAME, "--cascade=foreground", "--timeout=90s")
    return True


@pytest.mark.row("request-deleted")
def test_a_request_that_is_deleted_in_the_foreground_is_put_back_first(played: Callable[[Hand], Played]) -> None:
    end = played(request_deletion)
    assert end.application.namespace.names("volumeresizes") == set()
    demand_back(end)


@hand()
def job_suspension(application: Stubborn, told: dict[str, Any]) -> None:
    application.told_to_stop()
    namespace = application.namespace
    namespace.kubectl("patch", "job", f"{NAME}-runner", "--type=merge", "--patch", '{"spec": {"suspend": true}}')
    until("its pod is gone", lambda: not namespace.names("pods", "-l", f"job-name={NAME}-runner"), _SECONDS)
    application.ready()
    told["claim"], told["left"] = application.claim_uids()["data-app-0"], namespace.nothing_left()
    told["status"] = namespace.volresize("status", NAME).stdout
    resumed = namespace.volresize("resume", NAME, "--no-wait")
    assert resumed.returncode == 0, resumed.stderr


@pytest.mark.row("job-suspended")
def test_a_job_that_is_suspended_while_its_pod_stops_lets_the_replica_serve_until_it_is_resumed(played: Callable[[Hand], Played]) -> None:
    end = played(job_suspension)
    assert end.told["claim"] == end.uids["data-app-0"] and not [left for left in end.told["left"] if "pod" in left]
    assert "no Job works on it" in end.told["status"] and "kubectl volresize resume" in end.told["status"]
    demand_complete(end)


@hand()
def namespace_deletion(application: Stubborn, told: dict[str, Any]) -> bool:
    application.told_to_stop()
    application.namespace.kubectl("delete", "namespace", application.namespace.name, "--timeout=110s")
    told["volumes"] = {volume["metadata"]["name"]: volume["spec"]["persistentVolumeReclaimPolicy"] for volume in application.namespace.volumes()}
    return True


@pytest.mark.row("namespace-deleted")
def test_a_namespace_that_is_deleted_while_the_pod_stops_goes_by_itself_and_the_old_volume_stays(played: Callable[[Hand], Played]) -> None:
    end = played(namespace_deletion)
    assert end.told["volumes"].get(end.volume) == "Retain"


# -- while the set is frozen


@hand(replicas=2)
def edit_while_frozen(application: Stubborn, told: dict[str, Any]) -> None:
    client = application.client()
    told["frozen"] = application.frozen(client)["metadata"]["uid"]
    edited = client.json_patch(paths.statefulsets(application.namespace.name, NAME), [
        {"op": "test", "path": "/metadata/uid", "value": told["frozen"]},
        {"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "edited"}])
    assert edited["metadata"]["deletionTimestamp"]


@pytest.mark.row("rollout-frozen")
def test_a_template_that_is_edited_on_the_frozen_set_is_rolled_out_on_the_right_claims(played: Callable[[Hand], Played]) -> None:
    end = played(edit_while_frozen)
    end.application.ready()
    demand_complete(end, replicas=2)
    assert [end.application.run(ordinal, "echo $GREETING").strip() for ordinal in (0, 1)] == ["edited", "edited"]


@hand(replicas=2)
def scaling_down_while_frozen(application: Stubborn, told: dict[str, Any]) -> None:
    client = application.client()
    uid = application.frozen(client)["metadata"]["uid"]
    client.merge_patch(paths.statefulsets(application.namespace.name, NAME), {"metadata": {"uid": uid}, "spec": {"replicas": 1}})


@pytest.mark.row("scaled-down-exchanged")
def test_a_replica_that_is_scaled_away_on_the_frozen_set_has_its_data_when_it_is_wanted_again(played: Callable[[Hand], Played]) -> None:
    end = played(scaling_down_while_frozen)
    assert end.code == 0 and end.application.the_set()["spec"]["replicas"] == 1
    end.application.ready(1)
    end.application.namespace.kubectl("scale", "statefulset", NAME, "--replicas=2")
    end.application.ready(2)
    demand_complete(end, replicas=2)


@hand(replicas=2)
def insistent_creation(application: Stubborn, told: dict[str, Any]) -> None:
    """Operators that create the set from their manifest, with the old size, whenever there is none."""
    over, manifest = threading.Event(), application.manifest()
    told["created"], told["tries"] = [], []

    def create() -> None:
        client = application.client()
        while not over.wait(_PAUSE):
            try:
                told["created"].append(client.create(paths.statefulsets(application.namespace.name), manifest)["metadata"]["uid"])
            except (ApiError, NotFound) as error:
                told["tries"].append(error.status)

    creators = [threading.Thread(target=create) for _ in range(_CREATORS)]
    with History(application.namespace, "persistentvolumeclaims") as claims:
        # Before that the name is not free.
        application.frozen(application.client())
        for creator in creators:
            creator.start()
        application.end()
        over.set()
        for creator in creators:
            creator.join()
    told["volumes"] = {(name, claim["spec"].get("volumeName")) for state in claims.states() for name, claim in state.items()
                       if not name.endswith("-new") and claim["status"].get("phase") == "Bound"}


@pytest.mark.row("created-in-gap")
def test_operators_that_create_the_set_all_the_time_never_get_an_empty_claim(played: Callable[[Hand], Played]) -> None:
    end = played(insistent_creation)
    application = end.application
    reason, message = application.ends()
    entries = application.namespace.migration(NAME)["status"]["volumeStatuses"]
    known = {(entry["oldPVCName"], entry[key]) for entry in entries for key in ("oldPVName", "newPVName") if entry.get(key)}
    assert end.told["created"] or len(end.told["tries"]) > 100
    assert {pair for pair in end.told["volumes"] if pair[0] == f"data-{NAME}-1"} <= known
    application.ready()
    assert application.marks() == application.expected_marks()
    if end.told["created"]:
        assert reason == "NeedsHuman" and "was created by somebody else" in message
        # Of the replica in whose gap it was created, which may be the first or the second.
        assert any(entry.get("newPVName") and entry["newPVName"] in message and entry["oldPVName"] in message for entry in entries)
    else:
        assert reason == "Completed"
