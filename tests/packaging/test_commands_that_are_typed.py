"""The reader whom tests/e2e/test_documents_run.py lets type: what must go wrong for him to say so, and what he can do at his terminal."""
from __future__ import annotations

from pathlib import Path

import pytest
from namespaces import Namespace
from scene import Scene, Stage
from terminal import INTERRUPTED, Typed

_KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "https://localhost:1"}}]
users: [{name: nobody, user: {}}]
contexts: [{name: here, context: {cluster: none, user: nobody}}]
current-context: here
"""
_ASKS = "read -r -p 'Remove it? [y/N] ' SAID; [ -t 0 ] && [ \"$SAID\" = y ]"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Without a cluster: nothing that is typed here asks one."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(_KUBECONFIG)
    return Stage(Namespace("ours", str(kubeconfig), "example/volmig:7"), tmp_path / "desk")


@pytest.mark.parametrize("typed", [
    Typed("exit 3"), Typed("true", code=4), Typed("echo done", says="Completed"), Typed("echo over", until="never said"), Typed(_ASKS, answer="n"),
    Typed("no-such-command"), Typed("echo begun; sleep 60", begun="begun", beside=(Typed("exit 1"), Typed("sleep 60")))],
    ids=lambda typed: typed.command)
def test_what_ends_otherwise_than_it_must_is_found(stage: Stage, typed: Typed) -> None:
    with pytest.raises(AssertionError, match="exit code|no 'Completed'|ended without"):
        Scene("any", (typed,)).play(stage)


def test_what_is_exported_holds_for_the_next_command(stage: Stage) -> None:
    stage.type(Typed("export A='two words'"))
    stage.type(Typed("unset VOLRESIZE_IMAGE"))
    stage.type(Typed('echo "<$A> <$VOLRESIZE_IMAGE>"', says="<two words> <>"))


def test_what_asks_is_answered_at_a_terminal(stage: Stage) -> None:
    stage.type(Typed(_ASKS, answer="y", says="Remove it? [y/N] y"))


def test_what_does_not_end_is_ended_with_ctrl_c(stage: Stage) -> None:
    stage.type(Typed(f"trap 'exit {INTERRUPTED}' INT; echo at work; sleep 60", until="at work", code=INTERRUPTED))


def test_names_of_the_documents_become_ours(stage: Stage) -> None:
    shown = "submit my-set -n my-namespace --image registry.example/team/volmig:VERSION && install --image registry.example/team/volmig"
    assert stage.text(shown) == "submit my-set -n ours --image example/volmig:7 && install --image example/volmig"


def test_the_context_names_the_namespace_and_nobody_elses_is_changed(stage: Stage) -> None:
    stage.type(Typed("kubectl config view --minify -o jsonpath='{.contexts[0].context.namespace}'", says="ours"))
    assert "namespace" not in Path(stage.namespace.kubeconfig).read_text()
