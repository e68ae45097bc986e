package provisioner

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// loopVolume is one volume on the disk: FOLDER/NAME.img, mounted on FOLDER/NAME.
type loopVolume struct {
	folder string
	name   string
}

func (v loopVolume) image() string  { return filepath.Join(v.folder, v.name+".img") }
func (v loopVolume) target() string { return filepath.Join(v.folder, v.name) }

// create may be called again after any failure; a volume that is mounted already is left as it is.
func (v loopVolume) create(bytes int64) error {
	mounted, err := v.mounted()
	if err != nil || mounted {
		return err
	}
	if err := os.MkdirAll(v.target(), 0o700); err != nil {
		return err
	}
	// Anew, since one that is not mounted yet may be half written.
	if err := os.RemoveAll(v.image()); err != nil {
		return err
	}
	file, err := os.OpenFile(v.image(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(bytes), file.Close()); err != nil {
		return err
	}
	// No blocks reserved for root, as cloud providers' drivers do it.
	if err := command("mkfs.ext4", "-q", "-F", "-m0", v.image()); err != nil {
		return err
	}
	return command("mount", "-o", "loop", v.image(), v.target())
}

// remove unmounts before anything is removed, and removes the mount point as an empty folder only: never files through a mount that is still there.
func (v loopVolume) remove() error {
	mounted, err := v.mounted()
	if err != nil {
		return err
	}
	if mounted {
		if err := unix.Unmount(v.target(), 0); err != nil {
			return fmt.Errorf("unmount %s: %w", v.target(), err)
		}
	}
	for _, path := range []string{v.target(), v.image()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// mounted compares devices: a mount point lies on another one than the folder around it.
func (v loopVolume) mounted() (bool, error) {
	var inside, around unix.Stat_t
	if err := unix.Stat(v.target(), &inside); errors.Is(err, unix.ENOENT) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("stat %s: %w", v.target(), err)
	}
	if err := unix.Stat(v.folder, &around); err != nil {
		return false, fmt.Errorf("stat %s: %w", v.folder, err)
	}
	return inside.Dev != around.Dev, nil
}

func command(name string, arguments ...string) error {
	output, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(output)))
	}
	return nil
}
