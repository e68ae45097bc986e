"""Two loop-mounted ext4 file systems of the same disk, cold when a measurement begins."""
from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

_PIECE = bytes(1 << 20)


class Volume:
    """An image whose blocks were written once, so that no run pays for the host's allocation; mounted below a folder."""

    def __init__(self, folder: Path, name: str, mebibytes: int) -> None:
        self.image, self.path = folder / f"{name}.img", folder / name
        self.path.mkdir()
        with self.image.open("wb") as file:
            for _ in range(mebibytes):
                file.write(_PIECE)
            file.flush()
            os.fsync(file.fileno())
        self._device = ""

    def make(self, *options: str) -> None:
        """A fresh file system in place of what was there."""
        self.unmount()
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m0", *options, str(self.image)], check=True)
        self.mount()

    def mount(self) -> None:
        self._device = subprocess.run(["losetup", "--find", "--show", "--direct-io=on", str(self.image)], check=True, capture_output=True,
                                      text=True).stdout.strip()
        subprocess.run(["mount", "-o", "noatime", self._device, str(self.path)], check=True)

    def unmount(self) -> None:
        if self._device:
            subprocess.run(["umount", str(self.path)], check=True)
            subprocess.run(["losetup", "--detach", self._device], check=True)
            self._device = ""


def cool(*volumes: Volume) -> None:
    """Mount again and drop what the kernel remembers."""
    for volume in volumes:
        volume.unmount()
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    for volume in volumes:
        volume.mount()


def syncfs(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(descriptor)
