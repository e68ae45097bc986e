"""The wrong cluster, the wrong user, the wrong namespace: one message that says all of it, with what to do, the documented exit code, and nothing
created. And what `--dry-run` prints is a migration that somebody else can apply."""
from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from application import Application
from namespaces import Namespace, until

from kubectl_volresize.model.objects import Object
from kubectl_volresize.plan.rights import USER_RULES, missing

pytestmark = pytest.mark.cluster
ERROR, USAGE, REFUSED = 1, 2, 4
SMALLER = ("app", "--volume", "data=32Mi")
VERBS = ("submit", "plan")


@pytest.fixture(scope="module")
def application(namespace: Namespace) -> Application:
    made = Application(namespace)
    made.start()
    return made


@pytest.fixture(scope="module")
def config(namespace: Namespace) -> Object:
    """A kubeconfig of the cluster with one context, and all in it that it needs."""
    given: Object = json.loads(namespace.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    return given


@pytest.fixture(scope="module")
def user(namespace: Namespace, config: Object, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Namespace]:
    """The namespace as a ServiceAccount of it sees it, with a token in a kubeconfig of its own. One without rights, until it is bound to some."""
    def made(name: str) -> Namespace:
        namespace.kubectl("create", "serviceaccount", name)
        token = namespace.kubectl("create", "token", name).strip()
        file = tmp_path_factory.mktemp(name) / "kubeconfig"
        file.write_text(yaml.safe_dump({**config, "users": [{"name": config["users"][0]["name"], "user": {"token": token}}]}))
        return replace(namespace, kubeconfig=str(file))
    return made


@pytest.fixture(scope="module")
def nobody(user: Callable[[str], Namespace]) -> Namespace:
    return user("nobody")


@pytest.fixture(autouse=True)
def _nothing_is_created(request: pytest.FixtureRequest) -> Iterator[None]:
    if "fresh_namespace" in request.fixturenames:
        yield
        return
    application: Application = request.getfixturevalue("application")
    yield
    assert application.namespace.objects("volumeresizes,jobs") == []


def told(namespace: Namespace, code: int, *arguments: str) -> str:
    """What it says on stderr: one error, and nothing on stdout."""
    done = namespace.volresize(*arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stdout + done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr


@pytest.mark.parametrize("verb", VERBS)
class TestNoSuchCluster:
    def test_a_server_where_nobody_listens(self, namespace: Namespace, config: Object, tmp_path: Path, verb: str) -> None:
        with socket.socket() as closed:
            # Bound and not listening: nobody else can take the port meanwhile.
            closed.bind(("127.0.0.1", 0))
            server = f"https://127.0.0.1:{closed.getsockname()[1]}"
            cluster = {**config["clusters"][0], "cluster": {"server": server}}
            (tmp_path / "config").write_text(yaml.safe_dump({**config, "clusters": [cluster]}))
            said = told(replace(namespace, kubeconfig=str(tmp_path / "config")), ERROR, verb, *SMALLER)
        assert said.startswith(f"error: the API server at {server} cannot be reached: ") and "refused" in said
        assert said.endswith("\ncheck the kubeconfig's server and context, or your network\n")

    def test_a_context_that_the_file_does_not_have(self, namespace: Namespace, config: Object, verb: str) -> None:
        said = told(namespace, USAGE, verb, *SMALLER, "--context", "prod")
        assert "context 'prod' does not exist in the kubeconfig; it has: " in said and config["contexts"][0]["name"] in said

    def test_a_file_that_is_not_there(self, namespace: Namespace, tmp_path: Path, verb: str) -> None:
        for named in (("--kubeconfig", str(tmp_path / "absent")), ()):
            said = told(replace(namespace, kubeconfig=str(tmp_path / "absent")), ERROR, verb, *SMALLER, *named)
            assert f"kubeconfig {tmp_path}/absent does not exist\nset KUBECONFIG, or name one with --kubeconfig" in said

    @pytest.mark.parametrize(("content", "what"), [
        (b"", "file is empty"), (b"hello", "no kubeconfig"), (b"clusters: [", "no kubeconfig"), (b"\xff\xfe\x00", "no kubeconfig"),
        (b"apiVersion: v1\nkind: Config\n", "current-context")])
    def test_a_file_that_is_something_else(self, namespace: Namespace, tmp_path: Path, verb: str, content: bytes, what: str) -> None:
        (tmp_path / "config").write_bytes(content)
        said = told(replace(namespace, kubeconfig=str(tmp_path / "config")), ERROR, verb, *SMALLER)
        assert said.startswith("error: no cluster to talk to: ") and what in said
        assert said.count("\n") == 2 and said.endswith("\nset KUBECONFIG, or name one with --kubeconfig and --context\n")

    def test_a_file_that_cannot_be_read(self, namespace: Namespace, tmp_path: Path, verb: str) -> None:
        # A folder, which root cannot read either.
        said = told(replace(namespace, kubeconfig=str(tmp_path)), ERROR, verb, *SMALLER)
        assert f"kubeconfig {tmp_path}: Is a directory" in said


def test_a_namespace_that_does_not_exist_is_the_only_reason(application: Application) -> None:
    # Its lists are empty and no errors: a set, an account and two bindings seem to be missing.
    absent = replace(application.namespace, name="e2e-absent")
    for validated in ((), ("--validate=false",)):
        said = told(absent, REFUSED, "submit", *SMALLER, *validated)
        assert "; 1 reason:\n  namespace/e2e-absent does not exist in this cluster\n      fix: check -n, and --context" in said
    planned = absent.volresize("plan", *SMALLER)
    assert planned.returncode == REFUSED and re.findall(r"\[([a-z-]+)\]", planned.stdout) == ["namespace-missing"], planned


class TestRights:
    @pytest.mark.parametrize("verb", VERBS)
    def test_who_may_nothing_is_told_all_of_it_at_once(self, application: Application, nobody: Namespace, verb: str) -> None:
        before = application.namespace.versions()
        said = told(nobody, REFUSED, verb, *SMALLER)
        assert "; 1 reason:\n" in said and f"namespace/{nobody.name} is one where you may not get, list statefulsets.apps; " in said
        assert missing(USER_RULES, rules_in(said)) == ()
        assert application.namespace.versions() == before

    def test_the_rules_that_are_named_are_all_that_is_needed(self, application: Application, nobody: Namespace) -> None:
        rules = rules_in(told(nobody, REFUSED, "submit", *SMALLER))
        last = rules[-1]
        assert last == {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "create"]}
        bind(application.namespace, "nobody", [*rules[:-1], {**last, "verbs": ["list"]}])
        # All but one: it is found together with everything else, and said of the one.
        until("it may read", lambda: nobody.volresize("plan", *SMALLER).stdout)
        before = application.namespace.versions()
        planned = nobody.volresize("plan", *SMALLER)
        assert planned.returncode == REFUSED and re.findall(r"\[([a-z-]+)\]\n", planned.stdout) == ["user-rights"], planned
        assert "you may not create jobs.batch [user-rights]" in planned.stdout
        assert rules_in(told(nobody, REFUSED, "submit", *SMALLER)) == [{**last, "verbs": ["create"]}]
        assert application.namespace.versions() == before
        bind(application.namespace, "nobody", rules)
        until("it may submit", lambda: nobody.volresize("submit", *SMALLER, "--dry-run=server").returncode == 0)

    def test_who_has_the_built_in_role_edit_needs_nothing_else(self, application: Application, user: Callable[[str], Namespace]) -> None:
        editor = user("editor")
        application.namespace.kubectl("create", "rolebinding", "editor", "--clusterrole=edit", f"--serviceaccount={editor.name}:editor")
        until("it may submit", lambda: editor.volresize("submit", *SMALLER, "--dry-run=server").returncode == 0)
        before = application.namespace.versions()
        done = editor.volresize("submit", *SMALLER, "--dry-run=server")
        assert done.stdout.count("created (server dry run)") == 2, done
        # Nothing is against it; what lies outside the namespace is the Job's to look at.
        assert re.fullmatch(r"left to the Job, since you may not read them: nodes, persistentvolumes, storageclasses, .*\n", done.stderr), done.stderr
        planned = editor.volresize("plan", *SMALLER)
        assert planned.returncode == 0 and "refused" not in planned.stdout, planned
        assert application.namespace.versions() == before


def rules_in(said: str) -> list[dict[str, Any]]:
    """As somebody pastes them into a Role."""
    found = re.search(r"adds to a Role of yours: (.+)$", said, re.MULTILINE)
    assert found is not None, said
    rules: list[dict[str, Any]] = yaml.safe_load(f"[{found[1]}]")
    return rules


def bind(namespace: Namespace, user: str, rules: list[dict[str, Any]]) -> None:
    group = "rbac.authorization.k8s.io"
    namespace.apply({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": user}, "rules": rules},
                    {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": {"name": user},
                     "roleRef": {"apiGroup": group, "kind": "Role", "name": user},
                     "subjects": [{"kind": "ServiceAccount", "name": user, "namespace": namespace.name}]})


def test_what_a_dry_run_prints_is_a_migration_that_kubectl_can_apply(fresh_namespace: Namespace) -> None:
    """By way of a file in Git, for example: the VolumeResize, and the Job that carries it out."""
    application = Application(fresh_namespace)
    application.start()
    for name, dry_run, size in (("app", "client", "48Mi"), ("app-2", "server", "32Mi")):
        before = fresh_namespace.versions()
        printed = fresh_namespace.volresize("submit", "app", "--volume", f"data={size}", f"--dry-run={dry_run}", "-o", "yaml")
        assert printed.returncode == 0 and fresh_namespace.versions() == before, printed.stderr
        applied = fresh_namespace.kubectl("apply", "-f", "-", given=printed.stdout)
        assert applied.splitlines() == [f"volumeresize.storage.maurice.fr/{name} created", f"job.batch/{name}-runner created"]
        followed = fresh_namespace.follow(f"vr/{name}")
        assert followed.returncode == 0, followed.stdout + followed.stderr
        assert fresh_namespace.migration(name)["status"]["phase"] == "Completed"
        assert application.template_sizes() == {"data": size} and application.marks() == application.expected_marks()
    assert fresh_namespace.nothing_left() == []
