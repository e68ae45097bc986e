"""Watching: on a terminal all volumes at a glance; else a line when there is something new to say; for programs one line of JSON each time."""
from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import Plugin, write_kubeconfig
from log_server import Migration, serving

from kubectl_volresize.model.record import Record, from_status
from kubectl_volresize.plugin import watching
from kubectl_volresize.plugin.render.live import HEADER, LiveView, rows, title
from kubectl_volresize.plugin.words import instant

HELD = "2026-01-01T00:01:00Z"
COPYING = Record().with_volume(1, "data", phase="Copying", progress="61%", old_size="128Mi", new_size="80Mi", bytes=50 << 20, files=2, copied={
    "bytes": 30 << 20, "totalBytes": 50 << 20, "files": 1, "bytesPerSecond": 6 << 20, "secondsLeft": 75})
WATCH = ("status", "web", "--watch", "--timeout", "60")


def cells(record: Record, now: float = 0.0) -> list[dict[str, str]]:
    return [dict(zip(HEADER, row)) for row in rows(record, now)]


def test_a_copy_at_work_says_how_much_how_fast_and_for_how_long() -> None:
    [row] = cells(COPYING)
    assert (row["COPIED"], row["FILES"], row["RATE"], row["LEFT"], row["STOP"]) == ("61% of 50Mi", "1", "6Mi/s", "~1m15s", "")


def test_one_that_is_not_at_work_says_what_was_counted() -> None:
    waiting = COPYING.with_volume(1, "data", phase="Waiting", progress="100%").with_volume(0, "data", bytes=7 << 20, files=9)
    seen = [(row["REPLICA"], row["COPIED"], row["FILES"], row["RATE"]) for row in cells(waiting)]
    assert seen == [("1", "100% of 50Mi", "2", ""), ("0", "7Mi", "9", "")]


@pytest.mark.parametrize(("replica", "said"), [
    ({}, ""), ({"held_at": HELD, "step": "holding"}, "3s so far"), ({"held_at": HELD, "step": "done", "not_ready_seconds": 4}, "4s"),
    ({"held_at": HELD, "step": "undone"}, "")])
def test_the_stop_is_counted_while_it_lasts(replica: dict[str, object], said: str) -> None:
    [row] = cells(COPYING.with_replica(1, **replica), instant(HELD) + 3)
    assert row["STOP"] == said


def test_the_whole_is_one_line() -> None:
    record = from_status({"phase": "Syncing", "progress": "1/3", "startTime": HELD})
    assert title({"metadata": {"name": "web"}}, record, instant(HELD) + 61) == "web: Syncing, 1/3 replicas, 1m1s"


def test_the_view_shows_the_last_answer_although_the_api_server_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    from kubectl_volresize.errors import Unreachable

    answers: list[object] = [{"metadata": {"name": "web"}, "status": {**COPYING.to_status(), "phase": "Syncing", "message": "copying replica 1"}}]

    def look() -> dict[str, object]:
        if answers:
            return answers.pop()  # type: ignore[return-value]
        raise Unreachable("connection refused", server="https://x")

    with LiveView(look):  # type: ignore[arg-type]
        while answers:
            pass
    shown = capsys.readouterr().out
    assert "copying replica 1" in shown and "61% of 50Mi" in shown and "connection refused" in shown


# -- from the API server


@pytest.fixture
def migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Migration]:
    made = Migration()
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.01)
    with serving(made) as url:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", url)))
        yield made


def ending(migration: Migration, monkeypatch: pytest.MonkeyPatch, *messages: str, phase: str = "Completed", reason: str = "") -> None:
    """It says these one after the other, a look each, and is over."""
    left = list(messages)

    def pause(seconds: float) -> None:
        if left:
            migration.status = {**migration.status, "message": left.pop(0)}
        else:
            migration.end(phase, reason)
    monkeypatch.setattr(watching.time, "sleep", pause)
    monkeypatch.setattr(watching.states, "__defaults__", (pause,))


def test_without_a_terminal_each_new_thing_is_a_line(migration: Migration, plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    migration.add_pod("a")
    ending(migration, monkeypatch, "copying replica 1", "copying replica 1", "copying replica 0")
    answer = plugin(*WATCH)
    assert answer.code == 0
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert lines == ["Syncing copying replica 1", "Syncing copying replica 0", "Completed as it should be"]
    assert "\x1b" not in answer.out + answer.err and "web Completed: as it should be" in answer.err


def test_for_programs_each_is_one_line_of_json(migration: Migration, plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    migration.add_pod("a")
    ending(migration, monkeypatch, "copying")
    found = [json.loads(line) for line in plugin(*WATCH, "-o", "json").out.splitlines()]
    assert [one["status"]["phase"] for one in found] == ["Syncing", "Syncing", "Completed"] and found[1]["status"]["message"] == "copying"


@pytest.mark.parametrize(("reason", "code"), [("Refused", 4), ("Resumable", 5), ("NeedsHuman", 6)])
def test_the_exit_code_is_the_outcome(migration: Migration, plugin: Plugin, monkeypatch: pytest.MonkeyPatch, reason: str, code: int) -> None:
    migration.add_pod("a")
    ending(migration, monkeypatch, phase="Failed", reason=reason)
    assert plugin(*WATCH).code == code


def test_an_api_server_that_is_away_is_waited_for(migration: Migration, plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    migration.add_pod("a")
    left = [[503, 503], [503]]

    def pause(seconds: float) -> None:
        if left:
            migration.refusals += left.pop(0)
        else:
            migration.end("Completed")
    monkeypatch.setattr(watching.states, "__defaults__", (pause,))
    answer = plugin(*WATCH)
    assert answer.code == 0 and "does not answer" in answer.err


@pytest.mark.parametrize("arguments", [("status", "--watch"), ("status", "web", "--watch", "-o", "yaml"), ("status", "web", "--timeout", "3"),
                                       ("submit", "web", "--volume", "data=1Mi", "--wait", "--dry-run", "client"),
                                       ("submit", "web", "--volume", "data=1Mi", "--wait", "--follow"),
                                       ("submit", "web", "--volume", "data=1Mi", "--timeout", "3")])
def test_what_does_not_go_together_is_said(plugin: Plugin, arguments: tuple[str, ...]) -> None:
    answer = plugin(*arguments)
    assert answer.code == 2 and answer.err.startswith("error: --")


def test_beside_a_view_the_same_is_not_said_again_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    from kubectl_volresize.plugin.render.log import LogPrinter
    from kubectl_volresize.plugin.result import Seen

    out = io.StringIO()
    LogPrinter(out, io.StringIO(), viewed=True).show(Seen({"status": {"message": "copying", "phase": "Syncing"}}))
    assert out.getvalue() == ""
