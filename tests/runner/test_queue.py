"""A queue takes the place of a Job that works: its pod is asked to end, and nobody comes after it for as long as the queue likes. No replica may be
stopped so long. The real queue: tests/e2e/test_kueue.py."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi, Refusal
from queued_job import QUEUE, create_job, let_go_on, put_back, runner_job
from running import Killed, ask, demand_migrated, demand_nothing_lost, engine, once_when, run, status, step_of

from kubectl_volresize.errors import JOB_DONE, JOB_REFUSED, JOB_TERMINATED
from kubectl_volresize.model import labels

SWEPT = range(0, 240, 8)  # calls after the hold; the exchange comes in them, and the end


def given(queue: dict[str, str] = QUEUE, replicas: int = 1, mode: str = "ReadWriteOnce", **spec: Any) -> FakeApi:
    """A migration whose Job the queue let go on."""
    api = replace(three_replicas(replicas=replicas), access_mode=mode).build()
    migration = submit(api, {"data": "500Mi"}, **spec)
    create_job(api, migration, queue)
    let_go_on(api)
    return api


def serves(api: FakeApi) -> bool:
    api.settle()
    pod, found = api.find("pods", NAMESPACE, f"{SET}-0"), api.find("statefulsets", NAMESPACE, SET)
    return (found is not None and found["status"].get("readyReplicas") == 1 and pod is not None and "deletionTimestamp" not in pod["metadata"]
            and labels.HOLD_FINALIZER not in (pod["metadata"].get("finalizers") or []))


def later(api: FakeApi, calls: int) -> Callable[[], bool]:
    """That many calls after the replica was recorded as held."""
    left = [calls]

    def now() -> bool:
        left[0] -= step_of(api, 0) in ("holding", "swapping", "thawing", "starting")
        return left[0] < 0
    return now


def dies(api: FakeApi, lost: list[int], when: Callable[[int, str, str], bool]) -> None:
    """The runner that is asked to end once its place is lost, killed before a call of that number, verb and path."""
    def killed(number: int, verb: str, path: str) -> None:
        if lost and when(number, verb, path):
            raise Killed
    api.before_call.append(killed)
    with api.connected() as client, pytest.raises(Killed):
        engine(api, client, leaving=lambda: bool(lost)).run()
    api.before_call.remove(killed)


@pytest.mark.parametrize("calls", SWEPT)
def test_whenever_the_place_is_lost_no_replica_stays_stopped_and_the_next_runner_goes_on(calls: int) -> None:
    api = given()
    lost = once_when(api, later(api, calls), lambda: put_back(api))
    with api.connected() as client:
        code = engine(api, client, leaving=lambda: bool(lost)).run()
        assert code == (JOB_TERMINATED if lost else JOB_DONE)
        assert serves(api) or step_of(api, 0) == "starting"
        demand_nothing_lost(api)
        let_go_on(api)
        assert run(api, client, identity="runner-2") == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


def test_what_is_asked_for_meanwhile_changes_nothing_of_that() -> None:
    api = given()
    lost = once_when(api, later(api, 3), lambda: (put_back(api), ask(api, "cancel")))
    with api.connected() as client:
        assert engine(api, client, leaving=lambda: bool(lost)).run() == JOB_TERMINATED
        assert lost and serves(api)
        assert run(api, client, identity="runner-2") == JOB_DONE
    demand_nothing_lost(api)


@pytest.mark.parametrize("queue", [QUEUE, {}], ids=["queue", "no-queue"])
def test_where_another_pod_follows_at_once_the_replica_is_not_stopped_a_second_time(queue: dict[str, str]) -> None:
    """A drained node, for example: the Job goes on."""
    api = given(queue)
    lost = once_when(api, later(api, 3), lambda: None)
    with api.connected() as client:
        assert engine(api, client, leaving=lambda: bool(lost)).run() == JOB_TERMINATED
        pod = api.find("pods", NAMESPACE, f"{SET}-0")
        assert pod is not None and labels.HOLD_FINALIZER in pod["metadata"]["finalizers"]
        assert run(api, client, identity="runner-2") == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


@pytest.mark.parametrize("calls", range(1, 40, 3))
def test_a_runner_that_is_killed_while_it_lets_go_is_followed_as_ever(calls: int) -> None:
    api = given()
    lost = once_when(api, later(api, 3), lambda: put_back(api))

    dies(api, lost, lambda number, verb, path: number > lost[0] + calls)
    with api.connected() as client:
        assert run(api, client, identity="runner-2") == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


def leaves(api: FakeApi, when: Callable[[], bool], lose: Callable[[], object], code: int = JOB_TERMINATED) -> None:
    """The runner, asked to end once that has happened."""
    lost = once_when(api, when, lose)
    with api.connected() as client:
        assert engine(api, client, leaving=lambda: bool(lost)).run() == code and lost


def copies(api: FakeApi) -> bool:
    return api.find("pods", NAMESPACE, f"{SET}-migrator-0-data") is not None


def copied(api: FakeApi) -> bool:
    """Stopped, and its mover at work for that."""
    return step_of(api, 0) == "holding" and copies(api)


@pytest.mark.parametrize(("mode", "accepted"), [("ReadWriteOnce", []), ("ReadWriteOncePod", ["one-pod-volume"])])
def test_no_mover_stays_that_the_application_would_have_to_wait_for(mode: str, accepted: list[str]) -> None:
    """On another node, or at all where one pod alone may have the claim."""
    api = given(mode=mode, acknowledge=accepted)
    leaves(api, lambda: copied(api), lambda: put_back(api))
    assert serves(api) and not copies(api)


def test_what_is_said_meanwhile_is_that_it_was_let_go() -> None:
    api = given()
    leaves(api, lambda: copied(api), lambda: put_back(api))
    assert "replica 0 was let go, starts on the volumes that it has" in status(api)["message"]
    [replica] = status(api)["replicas"]
    assert replica["step"] == "copying" and not replica.get("heldAt")
    assert "ReplicaReleased" in {event["reason"] for event in api.store.all("events", NAMESPACE)}


def test_nothing_of_a_stop_that_is_over_stands_in_the_record() -> None:
    """What was verified is not any more, since the replica writes again."""
    api = given()
    leaves(api, lambda: step_of(api, 0) == "holding" and bool(status(api)["volumeStatuses"][0].get("final")), lambda: put_back(api))
    [volume] = status(api)["volumeStatuses"]
    assert volume["phase"] == "Copying" and not {"final", "verified", "verifiedAt", "progress"} & volume.keys()


def test_what_is_verified_is_exchanged_first_which_takes_a_second_and_spares_another_stop() -> None:
    api = given()
    leaves(api, lambda: step_of(api, 0) == "holding" and bool(status(api)["volumeStatuses"][0].get("verified")), lambda: put_back(api))
    assert step_of(api, 0) == "starting" and serves(api)
    claim = api.find("persistentvolumeclaims", NAMESPACE, f"data-{SET}-0")
    assert claim is not None and claim["spec"]["volumeName"] == status(api)["volumeStatuses"][0]["newPVName"]


def test_a_replica_that_could_not_be_stopped_keeps_its_mover() -> None:
    """A budget did not allow the eviction. What was copied stays warm, and nothing counts as a stop."""
    api = given()
    refused: list[int] = []

    def budget(number: int, verb: str, path: str) -> Refusal | None:
        if verb == "evict":
            refused.append(number)
            return Refusal(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
        return None
    api.before_call.append(budget)
    leaves(api, lambda: len(refused) > 2, lambda: put_back(api))
    [replica] = status(api)["replicas"]
    assert serves(api) and not replica.get("heldAt") and copies(api)


def test_a_job_that_is_deleted_has_nobody_after_it_either() -> None:
    """By a user; or by `resume --replace-runner`, whose next Job waits in the queue."""
    api = given()

    def deleted() -> None:
        found = api.find("jobs", NAMESPACE, "web-runner")
        assert found is not None
        with api.directly_connected() as client:
            client.delete(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/web-runner", uid=found["metadata"]["uid"], propagation="Background")
    leaves(api, lambda: copied(api), deleted)
    assert serves(api)


@pytest.mark.row("job-suspended")
@pytest.mark.parametrize("queue", [QUEUE, {}], ids=["queue", "no-queue"])
def test_so_has_one_that_somebody_suspends(queue: dict[str, str]) -> None:
    """To pause it, or Kueue where it manages Jobs without its label too."""
    api = given(queue)
    leaves(api, lambda: copied(api), lambda: put_back(api))
    assert serves(api)
    with api.connected() as client:
        assert run(api, client, identity="runner-2", job="web-runner-2") == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


def test_so_has_one_that_is_being_deleted() -> None:
    """In the foreground it stays until its pods are gone, and starts no other (pkg/controller/job, syncJob). The finalizer stands for that."""
    api = given()

    def deleted() -> None:
        found = api.find("jobs", NAMESPACE, "web-runner")
        assert found is not None
        api.rest.remove("jobs", api.rest.change("jobs", found, lambda new: new["metadata"].update(finalizers=["example.test/pods"])))
    leaves(api, lambda: copied(api), deleted)
    assert serves(api)


@pytest.mark.parametrize("condition", ["FailureTarget", "Failed"])
def test_so_has_one_that_its_controller_gives_up(condition: str) -> None:
    """A deadline, for example. First it is told that it will have failed, then its pods are deleted (KEP-3939)."""
    api = given({})

    def given_up() -> None:
        found = api.find("jobs", NAMESPACE, "web-runner")
        assert found is not None
        conditions = [{"type": condition, "status": "True", "reason": "DeadlineExceeded"}]
        api.rest.change("jobs", found, lambda new: new.update(status={"conditions": conditions}), status=True)
    leaves(api, lambda: copied(api), given_up)
    assert serves(api)


def test_a_lease_that_somebody_touched_keeps_no_replica_stopped() -> None:
    """It has to be renewed just when the place is lost, and the answer is 409."""
    api = given()
    looked, refused = [0], [0]

    def touched(number: int, verb: str, path: str) -> Refusal | None:
        if verb == "get" and "/jobs/" in path and not looked[0]:
            looked[0] = number
            api.sleep(11)
        if looked[0] and not refused[0] and verb == "replace" and "/leases/" in path:
            refused[0] = number
            return Refusal(409, "Conflict", "the object has been modified")
        return None
    api.before_call.append(touched)
    leaves(api, lambda: copied(api), lambda: put_back(api))
    assert refused[0] and serves(api)


def test_an_exchange_goes_back_too_that_was_begun_and_waits_before_its_set_is_frozen() -> None:
    """Somebody edited the set just then, so that it was not; and another replica is not Ready any more."""
    api = given(replicas=2)
    job, lost = runner_job(api), []
    assert job is not None
    grace = job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]

    def edited(number: int, verb: str, path: str) -> None:
        if lost and api.clock.now.timestamp() > lost[0] + grace:
            raise Killed
        if lost or verb != "patch" or not path.split("?")[0].endswith(f"/statefulsets/{SET}") or step_of(api, 1) != "swapping":
            return
        found = api.find("statefulsets", NAMESPACE, SET)
        assert found is not None
        api.rest.change("statefulsets", found, lambda new: new["metadata"].setdefault("annotations", {}).update(edited="just now"))
        api.faults.unready.add(f"{SET}-0")
        api.settle()
        put_back(api)
        lost.append(api.clock.now.timestamp())
    api.before_call.append(edited)
    with api.connected() as client:
        assert engine(api, client, leaving=lambda: bool(lost)).run() == JOB_REFUSED and lost
    api.faults.unready.clear()
    api.settle()
    pod = api.find("pods", NAMESPACE, f"{SET}-1")
    assert pod is not None and "deletionTimestamp" not in pod["metadata"]
    demand_nothing_lost(api)


def test_an_exchange_that_waits_for_another_replica_goes_back() -> None:
    api = given(replicas=2)

    def not_ready() -> None:
        put_back(api)
        api.faults.unready.add(f"{SET}-0")
        api.settle()
    leaves(api, lambda: step_of(api, 1) == "swapping", not_ready, JOB_REFUSED)
    # To the end, and not in a queue's next turn: what is over is said to be over.
    assert status(api)["phase"] == "Failed" and "not exchanged yet, goes back" in status(api)["message"]
    # Its controller creates it when the one before it is Ready.
    api.faults.unready.clear()
    api.settle()
    pod = api.find("pods", NAMESPACE, f"{SET}-1")
    assert pod is not None and "deletionTimestamp" not in pod["metadata"]
    demand_nothing_lost(api)


def test_a_last_pass_that_failed_when_its_stop_was_over_ends_nothing() -> None:
    """The runner was killed before it could remove the mover, which then saw the application write again (exit code 23)."""
    api = given()
    lost = once_when(api, lambda: copied(api) and bool(_told(api)), lambda: (put_back(api), api.faults.never_done.add(f"{SET}-migrator-0-data")))

    dies(api, lost, lambda number, verb, path: verb == "delete" and path.split("?")[0].endswith("-migrator-0-data"))
    with api.connected() as client:
        api.faults.never_done.clear()
        api.faults.fails[f"{SET}-migrator-0-data"] = (23, "the source changed during the final pass")
        api.settle()
        api.faults.fails.clear()
        let_go_on(api)
        assert run(api, client, identity="runner-2") == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


def _told(api: FakeApi) -> str:
    mover = api.find("pods", NAMESPACE, f"{SET}-migrator-0-data") or {"metadata": {}}
    return str((mover["metadata"].get("annotations") or {}).get(labels.FINAL, ""))
