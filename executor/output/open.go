package output

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Owner is whom files are given to.
type Owner struct {
	Name     string
	UID, GID int
}

// Open opens a file for appending, makes it when it is missing, and gives it to
// the owner, unless that is nil. It never blocks: what is no regular file of its
// own is refused.
func Open(path string, owner *Owner) (*os.File, error) {
	f, _, err := openAt(unix.AT_FDCWD, path, 0, owner)
	if err != nil {
		return nil, fmt.Errorf("cannot write its output to %s: %w", path, err)
	}
	return f, nil
}

// openAt opens a file for appending, and says what it is.
func openAt(dir int, name string, more int, owner *Owner) (*os.File, *unix.Stat_t, error) {
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
	fd, err := unix.Openat(dir, name, flags|more, 0o644)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return nil, nil, errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, nil, err
	}
	st, err := claim(fd, owner)
	if err != nil {
		return nil, nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), st, nil
}

func claim(fd int, owner *Owner) (*unix.Stat_t, error) {
	st := new(unix.Stat_t)
	if err := unix.Fstat(fd, st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1 {
		return nil, errors.New("it is not a regular file of its own")
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, err
	}
	if owner != nil && (int(st.Uid) != owner.UID || int(st.Gid) != owner.GID) {
		if err := unix.Fchown(fd, owner.UID, owner.GID); err != nil {
			return nil, fmt.Errorf("cannot give it to user %q: %w", owner.Name, err)
		}
	}
	return st, nil
}

// openDir opens a directory for use by the *at system calls. Whoever owns it can
// move it away, and cannot lead those calls elsewhere.
func openDir(path string) (int, error) {
	return unix.Open(filepath.Clean(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}
