"""What is refused before anything is touched: by `submit`, which then creates nothing, and by the Job, for those who created both themselves."""
from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from application import Application
from namespaces import Namespace, until

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object
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


QUOTA: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "claims"},
                 "spec": {"hard": {"persistentvolumeclaims": "1", "requests.storage": "86Mi"}}}
LIMITS: Object = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "claims"},
                  "spec": {"limits": [{"type": "PersistentVolumeClaim", "min": {"storage": "64Mi"}}]}}
SCALER: Object = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "app"},
                  "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "app"}, "minReplicas": 1, "maxReplicas": 2,
                           "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}]}}
MARKS = {"meta.helm.sh/release-name": "shop", "argocd.argoproj.io/tracking-id": "shop:apps/StatefulSet:prod/app"}
FLUX = {"helm.toolkit.fluxcd.io/name": "shop", "helm.toolkit.fluxcd.io/namespace": "flux-system"}


@pytest.fixture
def surrounded(application: Application, untouched: None) -> Iterator[None]:
    """A quota, a LimitRange, an autoscaler, an owner, and the marks of Helm, Argo CD and Flux; the node takes no new pods."""
    namespace, node = application.namespace, str(application.pod(0)["spec"]["nodeName"])
    namespace.apply(QUOTA, LIMITS, SCALER, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
    uid = namespace.get("configmap", "owner")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "controller": True}
    until("the quota is counted", lambda: "persistentvolumeclaims" in (namespace.get("resourcequota", "claims").get("status", {}).get("used") or {}))
    _mark(namespace, annotations=MARKS, labels=FLUX, ownerReferences=[owner])
    namespace.kubectl("cordon", node)
    try:
        yield
    finally:
        namespace.kubectl("uncordon", node)
        _mark(namespace, annotations=dict.fromkeys(MARKS), labels=dict.fromkeys(FLUX), ownerReferences=None)
        namespace.kubectl("delete", "quota/claims", "limits/claims", "hpa/app", "configmap/owner")


def _mark(namespace: Namespace, **metadata: object) -> None:
    namespace.kubectl("patch", "statefulset", "app", "--type=merge", "--patch", json.dumps({"metadata": metadata}))


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


def refused_by_submit(application: Application, *arguments: str, verb: str = "submit") -> str:
    """What it says on stderr, or `plan` on stdout; nothing may change."""
    before = application.namespace.versions()
    done = application.namespace.volresize(verb, "app", *arguments)
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert application.namespace.versions() == before
    return done.stdout if verb == "plan" else done.stderr


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
        said = refused_by_submit(application, "--volume", "data=128Mi")
        assert "persistentvolumeclaim/data-app-0" in said and "not more than the newSize 128Mi" in said and "fix:" in said

    def test_a_volume_that_does_not_exist(self, application: Application) -> None:
        said = refused_by_submit(application, "--volume", "nope=32Mi")
        assert "no volumeClaimTemplate 'nope'" in said and "it has: data" in said

    @pytest.mark.usefixtures("budget")
    def test_a_budget_that_allows_no_disruption(self, application: Application) -> None:
        said = refused_by_submit(application, "--volume", "data=32Mi")
        assert "poddisruptionbudget/all" in said and "PDB" in said

    @pytest.mark.usefixtures("surrounded")
    def test_all_that_surrounds_the_set_is_found_at_once(self, application: Application) -> None:
        said = refused_by_submit(application, "--volume", "data=32Mi")
        for reason in ("resourcequota/claims leaves 0 of persistentvolumeclaims", "resourcequota/claims leaves 22Mi of requests.storage",
                       "limitrange/claims does not allow a claim of 32Mi", "belongs to ConfigMap/owner", "which takes no new pods"):
            assert reason in said
        # Neither what can be accepted nor what is only worth knowing is a reason any more; all that is left is.
        assert "3 reasons" in refused_by_submit(application, "--volume", "data=32Mi", "--acknowledge", "owned-set,node-cordoned")
        planned = refused_by_submit(application, "--volume", "data=32Mi", verb="plan")
        for code in ("quota", "limit-range", "owned-set", "node-cordoned", "helm-release", "argocd-application", "flux-object", "autoscaler"):
            assert f"[{code}]" in planned

    @pytest.mark.usefixtures("surrounded")
    def test_what_is_only_worth_knowing_is_said(self, application: Application) -> None:
        application.namespace.kubectl("delete", "quota/claims", "limits/claims")
        before = application.namespace.versions()
        done = application.namespace.volresize("submit", "app", "--volume", "data=32Mi", "--dry-run=server",
                                               "--acknowledge", "owned-set,node-cordoned")
        assert done.returncode == 0 and application.namespace.versions() == before, done.stderr
        application.namespace.apply(QUOTA, LIMITS)
        for warning in ("Helm release shop", "Argo CD Application shop", "Flux HelmRelease flux-system/shop", "horizontalpodautoscaler/app",
                        "belongs to ConfigMap/owner", "which takes no new pods"):
            assert warning in done.stderr


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
