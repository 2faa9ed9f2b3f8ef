package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tries is how often a transfer is begun before it has failed.
const tries = 3

// errPassing marks failures that may pass by themselves.
var errPassing = errors.New("may pass")

// read writes the source's content into f, and checks it.
func (r Request) read(ctx context.Context, src source, f *os.File) error {
	for try := 1; ; try++ {
		err := r.readOnce(ctx, src, f)
		if err == nil || !errors.Is(err, errPassing) || try == tries {
			return unmark(err)
		}
		wait := time.NewTimer(r.Retry << (2 * (try - 1)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return unmark(err)
		}
		if err := f.Truncate(0); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}

func (r Request) readOnce(ctx context.Context, src source, f *os.File) error {
	from, err := r.open(ctx, src)
	if err != nil {
		return err
	}
	defer from.Close()
	if r.SHA256 == "" {
		_, err = io.Copy(f, from)
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, sum), from); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != r.SHA256 {
		return fmt.Errorf("its SHA-256 is %s, and not %s", got, r.SHA256)
	}
	return nil
}

func (r Request) open(ctx context.Context, src source) (io.ReadCloser, error) {
	if src.url == nil {
		return openFile(src.path, r.Owner)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, src.url.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	response, err := r.Client.Do(request)
	if err != nil {
		cancel(nil)
		var outer *url.Error // It would name the URI once more.
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, passing(err)
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		cancel(nil)
		err := fmt.Errorf("the server answers %s", response.Status)
		if response.StatusCode >= 500 {
			return nil, passing(err)
		}
		return nil, err
	}
	body := &stallReader{body: response.Body, stall: r.Stall, cancel: cancel, ctx: ctx}
	body.timer = time.AfterFunc(r.Stall, body.stalled)
	return body, nil
}

// stallReader is an HTTP body that gives up when nothing comes for a while.
type stallReader struct {
	body   io.ReadCloser
	stall  time.Duration
	timer  *time.Timer
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (s *stallReader) stalled() {
	s.cancel(fmt.Errorf("the transfer stood still for %s", s.stall))
}

func (s *stallReader) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	switch {
	case err == nil:
		s.timer.Reset(s.stall)
	case errors.Is(err, io.EOF):
	case s.ctx.Err() != nil:
		err = passing(context.Cause(s.ctx))
	default:
		err = passing(err)
	}
	return n, err
}

func (s *stallReader) Close() error {
	s.timer.Stop()
	s.cancel(nil)
	return s.body.Close()
}

// openFile opens a local file with the rights of the owner: what the owner may
// not read must not reach a directory where it could.
func openFile(name string, owner *Owner) (*os.File, error) {
	f, err := openAs(name, owner)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func openAs(name string, owner *Owner) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK // A FIFO must not block.
	if owner == nil || os.Geteuid() != 0 || owner.UID == 0 {
		return os.OpenFile(name, flags, 0)
	}
	type result struct {
		f   *os.File
		err error
	}
	opened := make(chan result)
	go func() {
		// The thread's identity is changed, and so it is never given back: it
		// ends with this goroutine. The raw calls are for that: those of the
		// standard library change all threads.
		runtime.LockOSThread()
		if err := become(owner); err != nil {
			opened <- result{err: fmt.Errorf("cannot read it as its user: %w", err)}
			return
		}
		f, err := os.OpenFile(filepath.Clean(name), flags, 0)
		opened <- result{f, err}
	}()
	r := <-opened
	return r.f, r.err
}

// become gives the calling thread the owner's rights to files.
func become(owner *Owner) error {
	groups := make([]uint32, 0, len(owner.Groups)+1)
	for _, g := range owner.Groups {
		groups = append(groups, uint32(g))
	}
	groups = append(groups, uint32(owner.GID))
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0); errno != 0 {
		return errno
	}
	if err := unix.Setfsgid(owner.GID); err != nil {
		return err
	}
	return unix.Setfsuid(owner.UID)
}

// passingError is an error that may pass, and reads as itself.
type passingError struct{ error }

func (e passingError) Is(target error) bool { return target == errPassing }
func (e passingError) Unwrap() error        { return e.error }

func passing(err error) error { return passingError{err} }

func unmark(err error) error {
	var p passingError
	if errors.As(err, &p) {
		return p.error
	}
	return err
}
