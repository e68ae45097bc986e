"""Each finding of the preflight check is brought about on a real cluster, or a reason stands here why not; nothing but the wrong thing itself is
changed, and what was seen is compared with the recorded looks that tests/plan/test_recorded.py judges without a cluster.

RECORD=1 writes the recordings anew.
"""
from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import provocations_installed  # noqa: F401 # registers its own
import pytest
from application import Application
from namespaces import Namespace, until
from provocations import PROVOCATIONS, SMALLER
from recording import Recorder
from spoiling import patch

from kubectl_volresize.plan.findings import CODES, Finding
from kubectl_volresize.plugin import submission
from kubectl_volresize.plugin.options import Where
from kubectl_volresize.plugin.order import Flags, order
from kubectl_volresize.plugin.place import Place, connect

RECORDED = Path(__file__).resolve().parents[1] / "plan" / "recorded"
HEALTHY = "healthy"
# Brought about by a test of its own, since a look alone does not find it.
ELSEWHERE = {
    "does-not-fit": "test_refused_in_cluster.py: the Job counts the data", "not-measured": "test_found_by_the_job.py",
    "templates-only": "test_found_by_the_job.py", "unreachable-volume": "test_found_by_the_job.py",
    "namespace-missing": "test_bad_input_in_cluster.py: a namespace that is not there",
    "user-rights": "test_bad_input_in_cluster.py: needs a user without rights", "altered-by-admission": "test_webhooks_in_cluster.py",
    "copied-as-user": "test_restricted_namespace.py: needs --run-as-user", "no-fs-group": "test_restricted_namespace.py: needs --run-as-user"}
IMPOSSIBLE = {
    "volume-missing": "the binder calls the claim of such a volume Lost within a moment, which is claim-not-bound",
    "bad-spec": "the definition's own rules refuse it before it is stored"}


def test_every_finding_is_brought_about_or_has_a_reason_not_to_be() -> None:
    assert sorted([*PROVOCATIONS, *ELSEWHERE, *IMPOSSIBLE]) == sorted(CODES)
    here = Path(__file__).parent
    assert [reason for reason in ELSEWHERE.values() if not (here / reason.partition(":")[0]).exists()] == []


@pytest.fixture(scope="module")
def application(namespace: Namespace) -> Application:
    made = Application(namespace)
    made.start()
    return made


def look(application: Application, asked: tuple[str, ...]) -> tuple[tuple[Finding, ...], Recorder]:
    """What `plan` finds, and all that it was told."""
    namespace = application.namespace
    connected = connect(Where(namespace.name, None, namespace.kubeconfig))
    place: Place = replace(connected, client=Recorder(connected.client))
    wanted = order(Flags(statefulset=asked[0], volumes=tuple(asked[2::2]), image=namespace.image))
    migration = submission.manifest(place, wanted, [])
    _, found = submission.look(place, migration)
    assert isinstance(place.client, Recorder)
    return found, place.client


@contextmanager
def nothing_changes(application: Application) -> Iterator[None]:
    def still() -> dict[tuple[str, str], str] | None:
        """What a controller has begun to write it shall have written."""
        first = application.namespace.versions()
        time.sleep(1)
        return first if application.namespace.versions() == first else None
    before = until("nobody writes any more", still)
    yield
    after = application.namespace.versions()
    changed = sorted(key for key in {**before, **after} if before.get(key) != after.get(key))
    assert not changed, f"changed: {changed}"


def record(name: str, asked: tuple[str, ...], recorder: Recorder, found: tuple[Finding, ...], namespace: Namespace) -> None:
    """Of all but the healthy one only what is not as it was there."""
    healthy = RECORDED / f"{HEALTHY}.json"
    known = {} if name == HEALTHY else json.loads(healthy.read_text())["answers"]
    answers = {key: answer for key, answer in recorder.answers.items() if known.get(key) != answer}
    kept = {"namespace": namespace.name, "image": namespace.image, "asked": list(asked), "answers": answers,
            "unasked": sorted(known.keys() - recorder.answers.keys()), "found": [[finding.code, finding.object] for finding in found]}
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{name}.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


@pytest.mark.cluster
def test_a_healthy_set_has_nothing_against_it(application: Application) -> None:
    with nothing_changes(application):
        found, recorder = look(application, SMALLER)
    assert found == ()
    if os.environ.get("RECORD"):
        record(HEALTHY, SMALLER, recorder, found, application.namespace)


@pytest.mark.cluster
def test_what_a_kubelet_writes_is_not_taken_for_a_change_of_ours(application: Application) -> None:
    with nothing_changes(application):
        patch(application, "pod/app-0", {"status": {"message": "something that a kubelet would say"}}, "--subresource=status")


@pytest.mark.cluster
@pytest.mark.parametrize("what", ["pod/app-0", "statefulset/app", "persistentvolumeclaim/data-app-0", "serviceaccount/default"])
def test_a_change_of_ours_is_seen(application: Application, what: str) -> None:
    with pytest.raises(AssertionError, match=f"changed: .*'{what.partition('/')[2]}'"), nothing_changes(application):
        patch(application, what, {"metadata": {"annotations": {"example.test/touched": "yes"}}})
    patch(application, what, {"metadata": {"annotations": {"example.test/touched": None}}})


@pytest.mark.cluster
@pytest.mark.parametrize("code", PROVOCATIONS)
def test_it_is_found_and_nothing_else_is_touched(application: Application, code: str) -> None:
    provocation = PROVOCATIONS[code](application)
    asked = next(provocation)
    try:
        with nothing_changes(application):
            found, recorder = look(application, asked)
    finally:
        next(provocation, None)
    codes = [finding.code for finding in found]
    assert code in codes, found
    if os.environ.get("RECORD"):
        record(code, asked, recorder, found, application.namespace)
