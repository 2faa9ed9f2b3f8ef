package app

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// program is another executor's, in a file that has no name, which nobody can
// write to any more: what was checked is what is executed, whoever else has this
// process's user. (Where there is no token to be had, they may look into this process,
// and could do with it what they want in any case.) It takes no memory, unless it has
// to be in memory because the sandbox's file system executes nothing or has no files
// without names.
type program struct {
	// file is open for nothing but to be executed.
	file *os.File
	// sum is its SHA-256, in hexadecimal.
	sum string
}

// hold copies a program from a file into one without a name, in the same file
// system as dir, which has the given SHA-256. A secret one cannot be read by its own
// process: the kernel then shows nothing of that process, its environment least of
// all, to others of the same user, from its first moment on.
func hold(name, dir, sum string, secret bool) (p *program, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot keep the new program: %w", err)
		}
	}()
	from, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	to, err := nameless(dir)
	if err != nil {
		return nil, err
	}
	defer to.Close() // While it can be written to it cannot be executed.
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(to, hash), from); err != nil {
		return nil, err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); !strings.EqualFold(got, sum) {
		return nil, fmt.Errorf("it has the SHA-256 %s and no longer %s", got, sum)
	}
	mode := os.FileMode(0o500)
	if secret {
		mode = 0o100
	}
	if err := to.Chmod(mode); err != nil {
		return nil, err
	}
	// A file of a file system cannot be sealed, and needs no seal.
	if seals, err := unix.FcntlInt(to.Fd(), unix.F_GET_SEALS, 0); err == nil && seals&unix.F_SEAL_SEAL == 0 {
		const all = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
		if _, err := unix.FcntlInt(to.Fd(), unix.F_ADD_SEALS, all); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Open(descriptorPath(to), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &program{file: os.NewFile(uintptr(fd), "tandem-executor"), sum: strings.ToLower(sum)}, nil
}

// nameless makes a file without a name: in a directory's file system, or in memory.
func nameless(dir string) (*os.File, error) {
	var system unix.Statfs_t
	if err := unix.Statfs(dir, &system); err != nil {
		return nil, err
	}
	if system.Flags&unix.ST_NOEXEC == 0 {
		fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0o700)
		if err == nil {
			return os.NewFile(uintptr(fd), "tandem-executor"), nil
		}
		if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
			return nil, err
		}
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("tandem-executor", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("tandem-executor", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("there is no place on this machine to execute it from: %w", err)
	}
	return os.NewFile(uintptr(fd), "tandem-executor"), nil
}

// path is what to execute. Only this process finds the program there, and its
// children until they execute it.
func (p *program) path() string { return descriptorPath(p.file) }

// another returns the same program by a descriptor of its own.
func (p *program) another() (*program, error) {
	fd, err := unix.FcntlInt(p.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot keep the new program: %w", err)
	}
	return &program{file: os.NewFile(uintptr(fd), p.file.Name()), sum: p.sum}, nil
}

func (p *program) close() { _ = p.file.Close() }

func descriptorPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }
