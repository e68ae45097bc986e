"""What is refused before anything is touched: by `submit`, which then creates nothing, and by the Job, for those who created both themselves."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from application import Application
from namespaces import Namespace, until

from kubectl_volresize.model import labels
from kubectl_volresize.model.cluster import Object
from kubectl_volresize.model.request import Request, Target
from kubectl_volresize.plan import manifests
from kubectl_volresize.templates import render

pytestmark = pytest.mark.cluster
REFUSED = 4
BUDGET: Object = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "all"},
                  "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "app"}}}}


@pytest.fixture(scope="module")
def application(namespace: Namespace) -> Application:
    made = Application(namespace)
    made.start()
    return made


@pytest.fixture
def budget(application: Application) -> Iterator[None]:
    """A PodDisruptionBudget that allows no disruption, and has been counted."""
    application.namespace.apply(BUDGET)
    until("the budget is counted", lambda: application.namespace.get("pdb", "all").get("status", {}).get("currentHealthy") == 1)
    yield
    application.namespace.kubectl("delete", "pdb", "all")


@pytest.fixture
def untouched(application: Application) -> Iterator[None]:
    """Whatever the test does, the application and its volume are afterwards what they were."""
    def picture() -> tuple[Object, ...]:
        claim, volume, pod, the_set = application.claim(0), application.volume_of(0), application.pod(0), application.the_set()
        return (claim, volume, {"uid": pod["metadata"]["uid"], "finalizers": pod["metadata"].get("finalizers")},
                {"uid": the_set["metadata"]["uid"], "spec": the_set["spec"], "meta": the_set["metadata"].get("annotations")})
    before = picture()
    yield
    assert picture() == before
    assert application.namespace.nothing_left() == []
    assert application.namespace.names("persistentvolumeclaims") == {"data-app-0"}


def refused_by_submit(application: Application, volume: str) -> str:
    """What `submit` says; nothing may be created."""
    before = application.namespace.names("volumeresizes,jobs")
    done = application.namespace.volresize("submit", "app", "--volume", volume)
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert application.namespace.names("volumeresizes,jobs") == before
    return done.stderr


def refused_by_job(application: Application, name: str, target: Target) -> str:
    """The message of a VolumeResize that somebody created himself, together with its Job."""
    namespace = application.namespace
    request = Request(statefulset="app", targets=(target,), mover={"image": namespace.image})
    namespace.create(render("volumeresize", name=name, namespace=namespace.name, spec=request.to_spec()),
                     render("job", **manifests.job_values(request, name, namespace.name, attempt=1)))
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", f"vr/{name}", "--timeout=90s")
    migration = namespace.migration(name)
    ready = next(condition for condition in migration["status"]["conditions"] if condition["type"] == labels.READY)
    assert (ready["status"], ready["reason"]) == ("False", "Refused")
    return str(migration["status"]["message"])


@pytest.mark.usefixtures("untouched")
class TestSubmitRefuses:
    """Exit code 4, every reason with the object, and neither a VolumeResize nor a Job."""

    def test_a_size_that_is_not_smaller(self, application: Application) -> None:
        said = refused_by_submit(application, "data=128Mi")
        assert "persistentvolumeclaim/data-app-0" in said and "not more than the newSize 128Mi" in said and "fix:" in said

    def test_a_volume_that_does_not_exist(self, application: Application) -> None:
        said = refused_by_submit(application, "nope=32Mi")
        assert "no volumeClaimTemplate 'nope'" in said and "it has: data" in said

    @pytest.mark.usefixtures("budget")
    def test_a_budget_that_allows_no_disruption(self, application: Application) -> None:
        said = refused_by_submit(application, "data=32Mi")
        assert "poddisruptionbudget/all" in said and "PDB" in said


@pytest.mark.usefixtures("untouched")
class TestTheJobRefuses:
    """The same, authoritatively: phase Failed, reason Refused, and the reason in the message."""

    def test_a_size_that_is_not_smaller(self, application: Application) -> None:
        assert "not more than the newSize 128Mi" in refused_by_job(application, "larger", Target("data", "128Mi"))

    def test_a_volume_that_does_not_exist(self, application: Application) -> None:
        assert "no volumeClaimTemplate 'nope'" in refused_by_job(application, "unknown", Target("nope", "32Mi"))

    @pytest.mark.usefixtures("budget")
    def test_a_budget_that_allows_no_disruption(self, application: Application) -> None:
        message = refused_by_job(application, "budgeted", Target("data", "32Mi"))
        assert "poddisruptionbudget/all" in message and "PDB" in message

    def test_data_that_does_not_fit_with_numbers(self, application: Application) -> None:
        application.fill(0, "data", 40)
        application.namespace.submit("app", "--volume", "data=32Mi", "--name", "full")
        followed = application.namespace.follow("vr/full")
        assert followed.returncode == REFUSED, followed.stdout + followed.stderr
        message = application.namespace.migration("full")["status"]["message"]
        assert "data-app-0" in message and "does not fit 32Mi" in message
        # 40 MiB and ten percent.
        assert "44" in message and "too little" in message
