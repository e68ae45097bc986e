"""`logs`: every line once, whatever breaks; and an exit code that is the migration's outcome."""
from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import NAMESPACE
from calling import Plugin, write_kubeconfig
from log_server import JOB, Migration, serving

from kubectl_volresize.plugin.render.log import LogPrinter
from kubectl_volresize.plugin.result import LogLine, Notice


# A follower that misses the end must fail and not hang.
FOLLOW = ("logs", "web", "-f", "--timeout", "60")


@pytest.fixture
def migration() -> Migration:
    return Migration()


@pytest.fixture(autouse=True)
def server(migration: Migration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serves `migration`; the kubeconfig that names it."""
    with serving(migration) as url:
        file = write_kubeconfig(tmp_path / "kubeconfig", url)
        monkeypatch.setenv("KUBECONFIG", str(file))
        # Local time is what people read; the tests stand in one zone.
        monkeypatch.setenv("TZ", "UTC")
        yield file


def stamped(count: int, first: int = 0) -> list[tuple[str, str]]:
    """`count` lines, three of them always within the same nanosecond as a fast program's are within one of the kubelet's clock."""
    return [(f"2026-01-01T00:00:{(first + number) // 6:02d}.{(first + number) // 3 % 2 * 5}00000000Z", f"line {first + number}")
            for number in range(count)]


def texts(lines: list[tuple[str, str]]) -> list[str]:
    return [text for _, text in lines]


# -- every line once


def test_a_log_is_printed_from_its_start(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")
    migration.logs["a"] = stamped(7)
    answer = plugin("logs", "web")
    assert (answer.code, answer.out.splitlines()) == (0, texts(stamped(7)))


def test_following_goes_over_a_restart_of_the_runner_and_neither_loses_nor_doubles_a_line(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")
    migration.logs["a"] = stamped(20)

    def go_on(pod: str) -> None:
        if pod == "a" and "b" not in migration.pods:
            migration.pods["a"]["status"]["phase"] = "Failed"
            migration.add_pod("b")
            migration.logs["b"] = stamped(20, first=20)
        elif pod == "b":
            migration.end("Completed")
    migration.on_log_end = go_on
    answer = plugin(*FOLLOW)
    assert (answer.code, answer.out.splitlines()) == (0, texts(stamped(40)))


@pytest.mark.parametrize("cut", [0, 1, 30, 36, 37, 38, 75, 400, 700])
def test_a_connection_that_breaks_anywhere_neither_loses_nor_doubles_a_line(migration: Migration, plugin: Plugin, cut: int) -> None:
    migration.add_pod("a")
    migration.logs["a"] = stamped(30)
    migration.cuts = [cut, cut, cut // 2, cut]
    migration.on_log_end = lambda pod: migration.end("Completed")
    answer = plugin(*FOLLOW)
    assert (answer.code, answer.out.splitlines()) == (0, texts(stamped(30)))
    assert len(migration.log_questions) >= 3, "the connection never broke"


def test_after_a_break_only_the_rest_is_asked_for(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")
    migration.logs["a"] = stamped(30)
    migration.cuts = [700]
    migration.on_log_end = lambda pod: migration.end("Completed")
    plugin(*FOLLOW)
    assert "sinceTime" not in migration.log_questions[0]
    assert migration.log_questions[1]["sinceTime"] == "2026-01-01T00:00:02Z"


def test_an_api_server_that_is_away_for_a_while_is_waited_for(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")
    migration.logs["a"] = stamped(3)

    def outage(pod: str) -> None:
        migration.refusals = [503, 503, 503]
        migration.on_log_end = lambda pod: migration.end("Completed")
    migration.on_log_end = outage
    answer = plugin(*FOLLOW)
    assert (answer.code, answer.out.splitlines()) == (0, texts(stamped(3)))
    assert answer.err.count("the API server does not answer, trying again") == 1


def test_a_log_that_the_kubelet_cannot_give_yet_is_asked_for_again(migration: Migration, plugin: Plugin) -> None:
    # The pod runs already, says the API server; its container has not started, says the kubelet.
    migration.add_pod("a")
    migration.logs["a"] = stamped(3)
    migration.log_refusals = [400, 400]
    migration.on_log_end = lambda pod: migration.end("Completed")
    answer = plugin(*FOLLOW)
    assert (answer.code, answer.out.splitlines()) == (0, texts(stamped(3)))


def test_a_pod_that_is_deleted_while_its_log_is_read_does_not_end_it(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")
    migration.log_refusals = [404]
    migration.on_log_end = lambda pod: migration.end("Completed")
    migration.add_pod("b")
    migration.logs["b"] = stamped(3)
    answer = plugin(*FOLLOW)
    assert (answer.code, answer.out.splitlines()) == (0, texts(stamped(3)))


def test_a_right_that_is_taken_away_ends_it(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")

    def forbid(pod: str) -> None:
        migration.refusals = [403]
    migration.on_log_end = forbid
    assert plugin(*FOLLOW).code == 1


# -- the outcome


@pytest.mark.parametrize(("phase", "reason", "code"), [
    ("Completed", "", 0), ("Cancelled", "", 0), ("RolledBack", "", 0), ("Failed", "Refused", 4), ("Failed", "Resumable", 5),
    ("Failed", "NeedsHuman", 6), ("Failed", "SomethingNew", 1)])
def test_the_exit_code_is_the_outcome(migration: Migration, plugin: Plugin, phase: str, reason: str, code: int) -> None:
    migration.add_pod("a")
    migration.end(phase, reason, message="the volume is too full")
    answer = plugin(*FOLLOW)
    assert answer.code == code
    word = f"{phase} ({reason})" if reason else phase
    assert f"volumeresize.storage.maurice.fr/web {word}: the volume is too full" in answer.err
    assert answer.err.startswith("error: ") is (code != 0)


def test_the_last_line_is_seen_even_when_all_is_over_before_it_is_read(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")
    migration.logs["a"] = stamped(5)
    migration.end("Failed", "Resumable")
    answer = plugin(*FOLLOW)
    assert (answer.code, answer.out.splitlines()) == (5, texts(stamped(5)))


def test_a_job_that_gave_up_without_an_outcome_is_no_success(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")
    migration.end_job("Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")
    answer = plugin(*FOLLOW)
    assert answer.code == 5
    assert "job.batch/web-runner ended before the migration did (BackoffLimitExceeded" in answer.err
    assert f"kubectl volresize resume vr/web -n {NAMESPACE}" in answer.err


def test_a_migration_without_a_job_is_not_waited_for(migration: Migration, plugin: Plugin) -> None:
    migration.has_job = False
    answer = plugin(*FOLLOW)
    assert answer.code == 5 and "no Job works on it" in answer.err


def test_giving_up_following_is_said_and_is_no_failure_of_the_migration(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")
    answer = plugin("logs", "web", "-f", "--timeout", "0.2")
    assert answer.code == 124
    assert "is not over after 0.2 s; it goes on in the cluster" in answer.err
    assert f"kubectl volresize logs vr/web -f -n {NAMESPACE}" in answer.err


def test_interrupting_changes_nothing_and_says_so(migration: Migration, server: Path) -> None:
    migration.add_pod("a")
    migration.logs["a"] = stamped(1)
    migration.endless.clear()
    # A shell that starts the tests in the background has them ignore ^C, and whatever they start too.
    program = ("import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
               "from kubectl_volresize.plugin.cli import main; main()")
    with subprocess.Popen([sys.executable, "-c", program, "--kubeconfig", str(server), "logs", "web", "-f"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "line 0\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert "the migration goes on in the cluster" in said and "logs vr/web -f" in said
    assert "Traceback" not in said and "error:" not in said


# -- before there is a log, and after


BACK_OFF = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}


def test_a_pod_that_does_not_start_is_waited_for_and_the_reason_said_once(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a", phase="Pending", waiting=BACK_OFF)
    answer = plugin("logs", "web", "-f", "--timeout", "0.3")
    assert answer.code == 124
    assert answer.err.count('waiting for pod/a to start: ImagePullBackOff: Back-off pulling image "x"') == 1


def test_without_following_the_reason_is_an_error(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a", phase="Pending", waiting=BACK_OFF)
    answer = plugin("logs", "web")
    assert answer.code == 1 and "pod/a has not started: ImagePullBackOff" in answer.err


def test_a_job_that_can_start_no_pod_says_what_its_controller_says(migration: Migration, plugin: Plugin) -> None:
    migration.events = [{"metadata": {"name": "e"}, "lastTimestamp": "2026-01-01T00:00:00Z", "message": "exceeded quota: pods=0"}]
    answer = plugin("logs", "web", "-f", "--timeout", "0.2")
    assert f"waiting for job.batch/{JOB} to start a pod: exceeded quota: pods=0" in answer.err


def test_when_no_log_is_left_the_record_is_shown(migration: Migration, plugin: Plugin) -> None:
    migration.has_job = False
    migration.end("Completed", message="3 replica(s) run on their new volumes")
    answer = plugin("logs", "web")
    assert answer.code == 0
    assert "No log is left" in answer.err and "3 replica(s) run on their new volumes" in answer.out


# -- how it reads


STEP = {"at": "2026-01-01T03:14:07Z", "level": "info", "operation": "HoldAndEvict", "phase": "Syncing", "replica": 1, "object": "pod/web-1",
        "message": "hold and evict pod web-1"}


def progress(second: int, **about: object) -> str:
    return json.dumps({"at": f"2026-01-01T03:15:{second:02d}Z", "level": "info", "operation": "Progress", "replica": 1, "volume": "data",
                       "message": f"{second} %", **about})


def printed(lines: list[str], raw: bool = False, tty: bool = False) -> str:
    out = io.StringIO()
    out.isatty = lambda: tty  # type: ignore[method-assign]
    printer = LogPrinter(out, io.StringIO(), raw=raw)
    for line in lines:
        printer.show(LogLine(line))
    printer.close()
    return out.getvalue()


def test_a_record_reads_like_a_sentence(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")
    warning = {**STEP, "level": "warning", "replica": None}
    migration.logs["a"] = [("2026-01-01T03:14:07.5Z", json.dumps(STEP)), ("2026-01-01T03:14:08Z", json.dumps(warning))]
    first, second = plugin("logs", "web").out.splitlines()
    assert first.endswith(":14:07  replica 1  hold and evict pod web-1")
    assert second.endswith(":14:07             warning: hold and evict pod web-1")


def test_a_traceback_passes_through_as_it_is() -> None:
    crash = ["Traceback (most recent call last):", '  File "x.py", line 1, in <module>', "", "{not json", '{"at": 7}', "[1]"]
    assert printed(crash) == "\n".join(crash) + "\n"


def test_in_json_too_each_line_is_a_document() -> None:
    crash = ["Traceback (most recent call last):", "", "{not json"]
    assert [json.loads(line) for line in printed(crash, raw=True).splitlines()] == [{"level": "unknown", "message": line} for line in crash]


def test_json_is_what_the_runner_wrote(migration: Migration, plugin: Plugin) -> None:
    migration.add_pod("a")
    migration.logs["a"] = [("2026-01-01T03:14:07Z", json.dumps(STEP))]
    migration.on_log_end = lambda pod: migration.end("Completed")
    assert plugin("logs", "web", "-f", "-o", "json").out == json.dumps(STEP) + "\n"


def test_off_a_terminal_progress_of_a_volume_is_shown_every_ten_seconds_at_most() -> None:
    lines = printed([progress(second) for second in range(0, 31)] + [progress(30, volume="wal")]).splitlines()
    assert [line.rsplit("  ", 1)[1] for line in lines] == ["data: 0 %", "data: 10 %", "data: 20 %", "data: 30 %", "wal: 30 %"]


def test_on_a_terminal_progress_overwrites_itself_and_nothing_else() -> None:
    text = printed([progress(1), progress(2), json.dumps(STEP), progress(3)], tty=True)
    shown = [part.split("\x1b[K")[-1] for part in text.split("\n")]
    assert [line.rsplit("  ", 1)[-1] for line in shown] == ["hold and evict pod web-1", "data: 3 %", ""]
    assert text.count("\r\x1b[K") == 4


def test_a_notice_does_not_end_up_on_a_line_of_progress() -> None:
    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign]
    printer = LogPrinter(out, out)
    printer.show(LogLine(progress(1)))
    printer.show(Notice("the connection is gone"))
    assert out.getvalue().endswith("data: 1 %\nthe connection is gone\n")
