"""Every command that README, how-to and tutorial show is typed as it stands there, in a namespace of its own, and does what the page says. That none
is missing is in tests/packaging/test_every_command_is_run.py; the scenes are in scenes.py."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from namespaces import Namespace
from scene import Scene, Stage
from scenes import SCENES

pytestmark = pytest.mark.cluster
# With three a machine of two cores was so busy that its nodes were taken for lost.
_AT_ONCE = 2


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, new_namespace: Callable[..., Namespace], tmp_path_factory: pytest.TempPathFactory
           ) -> Iterator[dict[str, Future[None]]]:
    """The scenes that were asked for, several at once: most of their time they wait."""
    wanted = {item.callspec.params["scene"].name for item in request.session.items if hasattr(item, "callspec") and "scene" in item.callspec.params}
    folder = tmp_path_factory.mktemp("documents")

    def play(number: int, scene: Scene) -> None:
        stage = Stage(new_namespace(bare=scene.bare), folder / f"scene-{number}")
        try:
            scene.play(stage)
        finally:
            stage.leave()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {scene.name: pool.submit(play, number, scene) for number, scene in enumerate(SCENES) if scene.name in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name.replace(" ", "-"))
def test_what_the_documents_show_does_what_they_say(scene: Scene, played: dict[str, Future[None]]) -> None:
    played[scene.name].result()
