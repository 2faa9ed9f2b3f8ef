package cgroup

import (
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// The files of a cgroup are read and written with bare system calls. The kernel
// can poll them, so that package os would register each with Go's poller for the
// microseconds that it is open, at three times the price; and a task is some
// forty of them.

// write writes to a file that must exist. Without O_CREAT a missing file is
// ENOENT; with it, cgroup file systems answer EPERM or EACCES.
func write(file, content string) error {
	fd, err := open(file, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		_, err := unix.Write(fd, []byte(content))
		switch err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return &fs.PathError{Op: "write", Path: file, Err: err}
		}
	}
}

// read reads a whole file.
func read(file string) (string, error) {
	fd, err := open(file, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var content strings.Builder
	for buffer := make([]byte, 2<<10); ; {
		n, err := unix.Read(fd, buffer)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return "", &fs.PathError{Op: "read", Path: file, Err: err}
		default:
			content.Write(buffer[:n])
			// The kernel fills what it is given, up to a line that does not fit.
			if n < len(buffer)/2 {
				return content.String(), nil
			}
		}
	}
}

func open(file string, how int) (int, error) {
	for {
		fd, err := unix.Open(file, how|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return fd, nil
		case unix.EINTR:
		default:
			return -1, &fs.PathError{Op: "open", Path: file, Err: err}
		}
	}
}

// words reads a file of words separated by white space.
func words(file string) ([]string, error) {
	content, err := read(file)
	if err != nil {
		return nil, err
	}
	return strings.Fields(content), nil
}

// childless says that a directory has no directory in it. A cgroup file system
// counts them in the number of links, which spares the listing of dozens of
// files.
func childless(dir string) bool {
	var st unix.Stat_t
	return unix.Lstat(dir, &st) == nil && st.Nlink == 2
}
