"""krew-manifest.yaml against the rules of krew's own validator (cmd/validate-krew-manifest, internal/index/validation, docs of the index),
which runs only when the plugin is submitted there."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "krew-manifest.yaml").read_text())
    return loaded


def test_it_is_a_plugin_of_the_version_that_krew_reads(manifest: dict[str, Any]) -> None:
    assert (manifest["apiVersion"], manifest["kind"]) == ("krew.googlecontainertools.github.com/v1alpha2", "Plugin")
    assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}


def test_krew_knows_every_field(manifest: dict[str, Any]) -> None:
    # Its decoder is strict: an unknown field is an error.
    assert set(manifest["spec"]) <= {"version", "shortDescription", "description", "caveats", "homepage", "platforms"}
    for platform in manifest["spec"]["platforms"]:
        assert set(platform) <= {"selector", "uri", "sha256", "files", "bin"}


def test_the_name_is_what_users_type_after_kubectl(manifest: dict[str, Any]) -> None:
    assert manifest["metadata"]["name"] == "volresize"
    assert {platform["bin"] for platform in manifest["spec"]["platforms"]} == {"kubectl-volresize"}


def test_the_version_is_the_plugins(manifest: dict[str, Any]) -> None:
    from kubectl_volresize.version import VERSION

    assert manifest["spec"]["version"] == f"v{VERSION}"
    assert re.fullmatch(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", manifest["spec"]["version"])


def test_the_short_description_is_one_short_line(manifest: dict[str, Any]) -> None:
    short = manifest["spec"]["shortDescription"]
    assert short and "\n" not in short and len(short) <= 50 and not short.endswith(".")


def test_the_description_lists_no_flags_and_fits_a_terminal(manifest: dict[str, Any]) -> None:
    description = manifest["spec"]["description"]
    assert "--" not in description
    assert max(map(len, description.splitlines())) <= 80


def test_the_caveats_name_what_krew_cannot_install(manifest: dict[str, Any]) -> None:
    assert "Python 3.11" in manifest["spec"]["caveats"]


def test_linux_and_darwin_once_each(manifest: dict[str, Any]) -> None:
    # krew refuses platforms that overlap; Windows would need an .exe.
    selectors = [platform["selector"] for platform in manifest["spec"]["platforms"]]
    assert all(set(selector) == {"matchLabels"} and set(selector["matchLabels"]) <= {"os", "arch"} for selector in selectors)
    assert sorted(selector["matchLabels"]["os"] for selector in selectors) == ["darwin", "linux"]


def test_every_archive_is_one_that_krew_can_open_and_verify(manifest: dict[str, Any]) -> None:
    for platform in manifest["spec"]["platforms"]:
        assert platform["uri"].startswith("https://") and platform["uri"].endswith((".tar.gz", ".zip"))
        assert re.fullmatch("[a-f0-9]{64}", platform["sha256"])
        assert manifest["spec"]["version"] in platform["uri"]
