"""Rewrites a docker archive of one image so that it bears all the names given, and checks it on the way; the builder names an image once.

Usage: name_archive.py IN OUT NAME... Not done with `tar --delete` and `--append`: GNU tar 1.34 was seen to lose other members of the archive by it.
Exits 1 with a sentence when IN is not an archive of exactly one image whose layers are all in it.
"""
from __future__ import annotations

import io
import json
import sys
import tarfile
from typing import Any


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    member = archive.extractfile("manifest.json")
    images = json.load(member) if member else []
    if len(images) != 1:
        raise ValueError(f"{len(images)} images in the archive, expected one")
    (image,) = images
    present = set(archive.getnames())
    if missing := [name for name in [image["Config"], *image["Layers"]] if name not in present]:
        raise ValueError(f"the archive lacks {', '.join(missing)}")
    return dict(image)


def rename(source: str, target: str, names: list[str]) -> None:
    """Raises ValueError (not one whole image), OSError and tarfile.TarError."""
    with tarfile.open(source) as archive, tarfile.open(target, "w") as named:
        image = _manifest(archive)
        kept = {image["Config"], *image["Layers"]}
        for member in archive:
            # The members of the format before manifest.json name the old tag; nobody reads them any more.
            if member.name in kept:
                named.addfile(member, archive.extractfile(member))
        text = json.dumps([image | {"RepoTags": names}]).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(text)
        named.addfile(entry, io.BytesIO(text))


def main() -> int:
    source, target, *names = sys.argv[1:]
    try:
        rename(source, target, names)
    except (ValueError, KeyError, OSError, tarfile.TarError) as error:
        sys.stderr.write(f"error: {source}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
