package workload

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stdio opens what a workload's descriptors 0, 1 and 2 are to be. The caller
// closes the files after the start.
func stdio(s *Spec, user *Numbers) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open its standard input: %w", err)
	}
	files = append(files, null)
	for _, path := range []string{s.Stdout, s.Stderr} {
		switch {
		case path == "":
			files = append(files, null)
		case len(files) == 2 && path == s.Stdout:
			files = append(files, files[1])
		default:
			f, err := openLog(path, user)
			if err != nil {
				return files, err
			}
			files = append(files, f)
		}
	}
	return files, nil
}

// openLog opens a file for appending and gives it to the user. The directory
// may belong to that user, so nothing there is trusted: a symbolic link is not
// followed, and what is no regular file is refused, without waiting for a
// reader of a named pipe.
func openLog(path string, user *Numbers) (*os.File, error) {
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
	fd, err := unix.Open(path, flags, 0o644)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return nil, fmt.Errorf("cannot write its output to %s: it is not a regular file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write its output to %s: %w", path, err)
	}
	if err := claim(fd, user); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write its output to %s: %w", path, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), path), nil
}

func claim(fd int, user *Numbers) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1 {
		return errors.New("it is not a regular file of its own")
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	if user != nil && (int(st.Uid) != user.UID || int(st.Gid) != user.GID) {
		if err := unix.Fchown(fd, user.UID, user.GID); err != nil {
			return fmt.Errorf("cannot give it to user %q: %w", user.Name, err)
		}
	}
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // one that is there twice is closed twice, harmlessly
	}
}
