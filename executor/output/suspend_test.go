package output

import (
	"bytes"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// successor goes on with a stream as another program would, which has its
// descriptors and nothing else.
func successor(t *testing.T, s *Stream) *Stream {
	t.Helper()
	state, err := s.Suspend()
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range []*int{&state.Pipe, &state.Dir, &state.Live} {
		if state.Ended {
			break
		}
		if *fd, err = unix.Dup(*fd); err != nil {
			t.Fatal(err)
		}
	}
	next, err := NewKeeper(quiet()).Adopt("task", state)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestStreamThatIsPassedOnLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	s, w := open(t, NewKeeper(quiet()), Options{Path: path, MaxFiles: MostFiles, MaxFileSize: LeastSize})
	text := numbered(0, 5000)
	written := make(chan error, 1)
	go func() {
		var err error
		for p := text; len(p) > 0 && err == nil; {
			n := min(len(p), 999)
			_, err = w.Write(p[:n])
			p = p[n:]
		}
		w.Close()
		written <- err
	}()
	first := s
	for range 20 {
		s = successor(t, s)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if lost := s.Finish(); lost.Bytes != 0 {
		t.Error(lost)
	}
	got, sizes := together(t, path)
	if !bytes.Equal(got, text) {
		t.Errorf("%d bytes came of %d", len(got), len(text))
	}
	for _, size := range sizes {
		if size > LeastSize {
			t.Errorf("a file of %d bytes", size)
		}
	}
	first.Resume() // It has nothing left to do but to end.
}

func TestStreamThatIsNotPassedOnGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	s, w := open(t, NewKeeper(quiet()), Options{Path: path, MaxFiles: 2, MaxFileSize: LeastSize})
	for range 3 {
		if _, err := s.Suspend(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString("line\n"); err != nil {
			t.Fatal(err)
		}
		s.Resume()
	}
	w.Close()
	<-s.done
	if got, _ := together(t, path); string(got) != "line\nline\nline\n" {
		t.Errorf("got %q", got)
	}
	state, err := s.Suspend()
	if err != nil || !state.Ended || state.Descriptors() != nil {
		t.Errorf("a stream that has ended is passed on as %+v, %v", state, err)
	}
	if lost := successor(t, s).Finish(); lost.Bytes != 0 {
		t.Error(lost)
	}
}

func TestDiskThatHangsIsNotPassedOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	k := NewKeeper(quiet())
	k.patience = 1
	var turns [][]byte
	for range writers { // Nobody gets a turn, as when disks hang.
		turns = append(turns, <-k.turns)
	}
	s, w := open(t, k, Options{Path: path, MaxFiles: 2, MaxFileSize: LeastSize})
	if _, err := w.WriteString("line\n"); err != nil {
		t.Fatal(err)
	}
	conn, err := s.in.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for waiting(conn) == 0 {
	}
	state, err := s.Suspend()
	for _, turn := range turns {
		k.turns <- turn
	}
	if err == nil {
		t.Skipf("the stream did not wait for its turn: %+v", state)
	}
	w.Close()
	<-s.done
	if got, _ := together(t, path); string(got) != "line\n" {
		t.Errorf("got %q", got)
	}
}
