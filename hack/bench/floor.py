"""What no copy can be faster than on this disk: read all files one after another in the order of their blocks, write the same bytes to one file."""
from __future__ import annotations

import os
import sys

_PIECE = 256 << 10


def main(source: str, dest: str) -> None:
    out = os.open(dest, os.O_WRONLY | os.O_CREAT, 0o600)
    buffer = memoryview(bytearray(_PIECE))
    for folder, _, files in os.walk(source):
        for name in sorted(files):
            descriptor = os.open(os.path.join(folder, name), os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while length := os.readv(descriptor, [buffer]):
                os.write(out, buffer[:length])
            os.close(descriptor)
    os.close(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
