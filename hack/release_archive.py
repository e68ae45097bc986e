"""The archive that krew downloads: one program that every Python of linux and macOS can run, and the licence beside it.

    release_archive.py FOLDER LICENSE ARCHIVE.tar.gz    FOLDER: packages as pip puts them below --target

Made of the same files it is the same byte for byte, since its checksum stands in another file of the release.
"""
from __future__ import annotations

import gzip
import io
import sys
import tarfile
import zipfile
from pathlib import Path

PROGRAM = "kubectl-volresize"
MAIN = "from kubectl_volresize.plugin.cli import main\n\nmain()\n"
# Compiled for one machine each; every package among them has a form in Python and takes it when these are missing.
_COMPILED = {".so", ".pyd", ".pyc"}
# The earliest that a zip file can say.
_TIME = (1980, 1, 1, 0, 0, 0)


def program(folder: Path) -> bytes:
    """Everything below `folder` as a zipapp (see the standard library's zipapp), without compiled code and pip's own records."""
    packed = io.BytesIO()
    # Python takes what stands before a zip file for no part of it, and the kernel takes its first line for the interpreter.
    packed.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(folder).as_posix()
            # RECORD and the like name the folder's files, and differ from one pip to the next.
            if file.is_file() and file.suffix not in _COMPILED and file.name not in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
                _write(archive, name, file.read_bytes())
        _write(archive, "__main__.py", MAIN.encode())
    return packed.getvalue()


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(entry, content)


def tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    """A .tar.gz of `files`: (content, mode) by name; owner, time and order are always the same."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def main() -> None:
    folder, licence, out = map(Path, sys.argv[1:])
    out.write_bytes(tar({PROGRAM: (program(folder), 0o755), "LICENSE": (licence.read_bytes(), 0o644)}))


if __name__ == "__main__":
    main()
