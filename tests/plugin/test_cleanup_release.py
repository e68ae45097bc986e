"""`cleanup --release`: a runner died and none can follow; what it held is let go, and the application comes back with every byte."""
from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from builders import NAMESPACE, SET, Cluster, three_replicas
from calling import Plugin, written
from fake_api import FakeApi, Object
from runner_at_work import add_pod, renew_lease, run, with_runners
from running import Killed, claim_uids, demand_nothing_lost, once_when, sizes, step_of, template_sizes
from submitting import SUBMIT, job, migration

from kubectl_volresize.model import labels

RELEASE = ("cleanup", "web", "--release", "--yes")
Moment = Callable[[FakeApi], bool]


def pod(api: FakeApi, name: str = "web-1") -> Object | None:
    return api.find("pods", NAMESPACE, name)


def the_set(api: FakeApi) -> Object | None:
    return api.find("statefulsets", NAMESPACE, SET)


def frozen(api: FakeApi) -> bool:
    found = the_set(api)
    return found is not None and found["metadata"].get("finalizers") == [labels.FREEZE_FINALIZER]


def held(api: FakeApi) -> bool:
    found = pod(api)
    return found is not None and bool(found["metadata"].get("deletionTimestamp")) and labels.HOLD_FINALIZER in found["metadata"].get("finalizers", [])


HELD: Moment = lambda api: held(api) and the_set(api) is not None and not frozen(api)  # noqa: E731
NOT_DELETED: Moment = lambda api: held(api) and frozen(api)  # noqa: E731
FROZEN: Moment = lambda api: held(api) and frozen(api) and "deletionTimestamp" in (the_set(api) or {})["metadata"]  # noqa: E731
NO_CLAIM: Moment = lambda api: frozen(api) and "data-web-1" not in claim_uids(api)  # noqa: E731
EXCHANGED: Moment = lambda api: frozen(api) and step_of(api, 1) == "swapping" and sizes(api).get("data-web-1") == "500Mi" and bound(api)  # noqa: E731
ABSENT: Moment = lambda api: the_set(api) is None  # noqa: E731


def bound(api: FakeApi) -> bool:
    found = api.find("persistentvolumeclaims", NAMESPACE, "data-web-1")
    return found is not None and found.get("status", {}).get("phase") == "Bound"


@pytest.fixture
def dead_at(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> Callable[[Moment], FakeApi]:
    """A cluster of two replicas whose runner died at this moment; what was written until then does not count."""
    def die(moment: Moment) -> FakeApi:
        api = connect(three_replicas(replicas=2))
        plugin("install", "-n", NAMESPACE)
        plugin(*SUBMIT)

        def kill() -> None:
            raise Killed

        when = once_when(api, lambda: moment(api), kill)
        with pytest.raises(Killed):
            run(api, "web-runner")
        assert when, "the moment never came"
        api.before_call.clear()
        api.calls.clear()
        return api
    return die


def demand_let_go(api: FakeApi) -> None:
    """Nothing of ours holds anything, and the application runs with every byte that it ever wrote."""
    demand_nothing_lost(api)
    statefulset = the_set(api)
    assert statefulset is not None and statefulset["status"]["readyReplicas"] == 2
    objects = [*api.store.all("pods", NAMESPACE), *api.store.all("statefulsets", NAMESPACE), *api.store.all(labels.PLURAL, NAMESPACE)]
    assert [one["metadata"]["name"] for one in objects if any(labels.GROUP in name for name in one["metadata"].get("finalizers") or [])] == []


@pytest.mark.parametrize(("moment", "templates", "claim"), [
    (HELD, "1Gi", "1Gi"), (NOT_DELETED, "1Gi", "1Gi"), (FROZEN, "1Gi", "1Gi"), (EXCHANGED, "500Mi", "500Mi"), (ABSENT, "500Mi", "500Mi")])
def test_wherever_the_runner_died_the_application_comes_back(dead_at: Callable[[Moment], FakeApi], plugin: Plugin, moment: Moment, templates: str,
                                                             claim: str) -> None:
    api = dead_at(moment)
    said = plugin(*RELEASE)
    assert said.code == 0, said.err
    demand_let_go(api)
    assert template_sizes(api) == {"data": templates} and sizes(api)["data-web-1"] == claim
    assert "volumeresize.storage.maurice.fr/web released" in said.out and "Nothing is held any more" in said.out


def test_a_runner_that_can_run_again_later_goes_on_from_there(dead_at: Callable[[Moment], FakeApi], plugin: Plugin) -> None:
    for moment in (HELD, ABSENT):
        api = dead_at(moment)
        assert plugin(*RELEASE).code == 0
        with_runners(api)
        api.clock.advance(120)
        said = plugin("resume", "web", "--timeout", "20")
        if said.code == 5:
            # What it held is gone: it stops, and begins that replica again.
            said = plugin("resume", "web", "--timeout", "20")
        assert said.code == 0, said.err
        assert sizes(api)["data-web-1"] == "500Mi" and template_sizes(api) == {"data": "500Mi"}
        demand_nothing_lost(api)


def test_it_shows_what_is_held_and_asks(dead_at: Callable[[Moment], FakeApi], plugin: Plugin) -> None:
    api = dead_at(FROZEN)
    said = plugin("cleanup", "web", "--release", terminal=True, stdin="n\n")
    assert (said.code, written(api)) == (1, []) and said.err.endswith("Nothing was changed.\n")
    for line in ("pod/web-1", "statefulset/web", "volumeresize/web"):
        assert line in said.err
    assert "The migration stands still where it is then. [y/N]" in said.err


def test_a_set_without_one_of_its_claims_is_not_let_go_and_it_is_said_what_comes_first(dead_at: Callable[[Moment], FakeApi], plugin: Plugin) -> None:
    api = dead_at(NO_CLAIM)
    old = migration(api)["status"]["volumeStatuses"][0]["oldPVName"]
    said = plugin(*RELEASE)
    assert (said.code, written(api)) == (6, [])
    assert f"claim data-web-1 is missing: create it on volume {old} first (docs/recovery.md, case 2, step 3)" in said.err
    # As the page says.
    volume = api.find("persistentvolumes", "", old)
    assert volume is not None
    api.rest.change("persistentvolumes", volume, lambda new: [new["spec"]["claimRef"].pop(key, None) for key in ("uid", "resourceVersion")])
    api.rest.post("persistentvolumeclaims", {"metadata": {"name": "data-web-1", "namespace": NAMESPACE}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "volumeName": old, "resources": {"requests": {"storage": "1Gi"}}}})
    api.settle()
    again = plugin(*RELEASE)
    assert again.code == 0, again.err
    demand_let_go(api)


def test_its_job_starts_no_runner_into_it(dead_at: Callable[[Moment], FakeApi], plugin: Plugin) -> None:
    api = dead_at(FROZEN)
    assert "job.batch/web-runner suspended" in plugin(*RELEASE).out
    assert job(api)["spec"]["suspend"] is True and written(api)[0] == "patch jobs"


def test_it_is_refused_while_a_runner_is_at_work(dead_at: Callable[[Moment], FakeApi], plugin: Plugin) -> None:
    api = dead_at(FROZEN)
    api.rest.remove("leases", api.find("leases", NAMESPACE, "volresize-web") or {})
    add_pod(api, "web-runner")
    renew_lease(api, "web-runner", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    said = plugin(*RELEASE)
    assert (said.code, written(api)) == (4, []) and "has a runner at work, which renewed lease/volresize-web" in said.err
    assert f"kubectl delete job/web-runner -n {NAMESPACE}" in said.err


def test_an_edit_on_the_frozen_set_is_not_lost(dead_at: Callable[[Moment], FakeApi], plugin: Plugin) -> None:
    api = dead_at(EXCHANGED)
    api.rest.change("statefulsets", the_set(api) or {}, lambda new: new["metadata"].setdefault("labels", {}).update(edited="yes"))
    assert plugin(*RELEASE).code == 0
    found = the_set(api)
    assert found is not None and found["metadata"]["labels"]["edited"] == "yes"


def test_a_dry_run_only_shows(dead_at: Callable[[Moment], FakeApi], plugin: Plugin) -> None:
    api = dead_at(FROZEN)
    said = plugin("cleanup", "web", "--release", "--dry-run=client")
    assert (said.code, written(api)) == (0, []) and "pod/web-1" in said.err


def test_where_nothing_is_held_there_is_nothing_to_do(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    api.calls.clear()
    said = plugin(*RELEASE)
    assert (said.code, written(api)) == (0, []) and "web holds nothing" in said.err


def test_in_a_namespace_that_is_being_deleted_everything_is_let_go(dead_at: Callable[[Moment], FakeApi], plugin: Plugin) -> None:
    api = dead_at(NO_CLAIM)
    namespace = api.find("namespaces", "", NAMESPACE)
    assert namespace is not None
    api.rest.change("namespaces", namespace, lambda new: new["metadata"].update(finalizers=["kubernetes"]))
    api.rest.remove("namespaces", api.find("namespaces", "", NAMESPACE) or {})
    assert plugin(*RELEASE).code == 0
    assert the_set(api) is None and api.find(labels.PLURAL, NAMESPACE, SET) is None


def test_no_pod_of_the_copy_keeps_the_claim_from_the_application(dead_at: Callable[[Moment], FakeApi], plugin: Plugin) -> None:
    """One that waits for a runner's word waits for ever, and a ReadWriteOncePod claim with it."""
    api = dead_at(HELD)
    assert [name for name in api.alive("pods", NAMESPACE) if "-migrator-" in name]
    answer = plugin(*RELEASE)
    assert answer.code == 0 and not [name for name in api.alive("pods", NAMESPACE) if "-migrator-" in name], answer.err
    deleted = [call.path.rpartition("/")[2] for call in api.calls if call.verb == "delete" and "/pods/" in call.path]
    released = next(number for number, call in enumerate(api.calls) if call.verb == "patch" and call.path.endswith("/pods/web-1"))
    assert deleted and released > next(number for number, call in enumerate(api.calls) if call.path.endswith(deleted[0]))
