"""Watching a VolumeResize until it is over: each time that it says something else, over restarts of the runner and outages of the API server."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ..errors import ApiError, Unreachable
from ..kube import paths
from .follow import Deadline, TimedOut, ended
from .job import runner_jobs, runner_pods, waiting_for
from .place import Place, connect
from .result import Following, Item, Notice, Object, Result, Seen
from .words import migration_resource

POLL_SECONDS = 1.0


def looking(place: Place, name: str) -> Callable[[], Object | None]:
    """The VolumeResize as it is at each call; by a connection of its own, for a thread of its own."""
    def look() -> Object | None:
        if not own:
            own.append(connect(replace(place.where, namespace=place.namespace)))
        return own[0].client.find(paths.migrations(place.namespace, name))

    own: list[Place] = []
    return look


def watched(place: Place, name: str, timeout: float | None, output: str, before: Result | None = None) -> Following:
    """The migration while it goes on, after `before` was printed."""
    again = f"Watch it again: {place.command('status', f'vr/{name}', '--watch')}"
    return Following(output=output, before=before, items=states(place, name, Deadline.after(timeout)), look=looking(place, name),
                     interrupted=("Stopped watching; the migration goes on in the cluster.", again))


def states(place: Place, name: str, deadline: Deadline, pause: Callable[[float], None] = time.sleep) -> Iterator[Item]:
    """What it says, and at last how it ended. Raises TimedOut, ApiError for what will not pass."""
    last, said = "", ""
    while True:
        try:
            jobs = runner_jobs(place, name)
            migration = place.client.find(paths.migrations(place.namespace, name))
            now = waiting_for(place, runner_pods(place, name), jobs)
            if migration is not None and migration["metadata"].get("resourceVersion", "") != last:
                last = str(migration["metadata"].get("resourceVersion", ""))
                yield Seen(migration)
            if (end := ended(place, name, migration, jobs)) is not None:
                yield end
                return
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) and error.status < 500 and error.status != 429:
                raise
            now = f"the API server does not answer, trying again: {error.message}"
        if now and now != said:
            yield Notice(now)
        said = now
        if deadline.passed:
            raise TimedOut(name=migration_resource(name), seconds=f"{deadline.seconds:g}", command=place.command("status", f"vr/{name}", "--watch"))
        pause(POLL_SECONDS)
