#!/usr/bin/env python3
"""Write a folder as a container image with one layer: an OCI archive that `ctr images import` takes. Standard library only; no registry, no builder.

Usage: oci_archive.py FOLDER ARCHIVE NAME COMMAND...
Equal folders give equal archives: owners are root, times are zero.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import sys
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


def layer_of(folder: Path) -> bytes:
    """The folder's content as an uncompressed tar, in an order that no file system dictates."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(folder)), recursive=False, filter=as_root)
    return layer.getvalue()


class Archive:
    """An OCI layout under construction: blobs by digest, then the index that names the image."""

    def __init__(self, path: Path) -> None:
        self.tar = tarfile.open(path, mode="w")

    def add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        member.mode = 0o644
        self.tar.addfile(as_root(member), io.BytesIO(content))

    def blob(self, media_type: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        self.add(f"blobs/sha256/{digest}", content)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(content)}

    def document(self, media_type: str, content: dict[str, object]) -> dict[str, object]:
        return self.blob(media_type, json.dumps(content, sort_keys=True).encode())


def write(folder: Path, target: Path, name: str, command: list[str]) -> None:
    archive = Archive(target)
    layer = archive.blob("layer.v1.tar", layer_of(folder))
    config = archive.document(
        "config.v1+json",
        {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {"Cmd": command, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
            # An uncompressed layer is its own diff; the two digests are the same.
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
            "history": [{"created_by": "oci_archive.py"}],
        },
    )
    manifest = archive.document("manifest.v1+json", {"schemaVersion": 2, "config": config, "layers": [layer]})
    # containerd's own annotation; the OCI's ref.name is only a tag and would import without a name.
    manifest["annotations"] = {"io.containerd.image.name": name}
    archive.add("index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
    archive.add("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    archive.tar.close()


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    write(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
