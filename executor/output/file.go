package output

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// series is a file and its predecessors: name, name.1, name.2 and so on.
// It belongs to one goroutine.
type series struct {
	dir      int // a descriptor
	name     string
	owner    *Owner
	maxFiles int
	maxSize  int64

	live *os.File
	size int64
	// midLine says that the last byte in the live file ends no line.
	midLine bool
	// missing is what was dropped since the last byte that was written, and why.
	missing Loss
}

func openSeries(dir, name string, o Options) (*series, error) {
	fd, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	live, st, err := openAt(fd, name, 0, o.Owner)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &series{
		dir: fd, name: name, owner: o.Owner, maxFiles: o.MaxFiles, maxSize: o.MaxFileSize, live: live, size: st.Size,
	}, nil
}

// close closes the files. A loss that is not told yet is told if there is room
// by now.
func (s *series) close() {
	s.tellMissing()
	_ = s.live.Close() // it was written without buffering
	_ = unix.Close(s.dir)
}

// take writes what it can, and returns what it lost.
func (s *series) take(p []byte) Loss {
	var lost Loss
	s.tellMissing()
	for len(p) > 0 {
		n := s.fits(p)
		if n == 0 {
			overwritten, err := s.rotate()
			lost.add(overwritten, err)
			if s.size > 0 {
				lost.add(int64(len(p)), err)
				break
			}
			continue
		}
		n, err := s.live.Write(p[:n])
		s.wrote(p[:n])
		p = p[n:]
		if err != nil {
			lost.add(int64(len(p)), err)
			break
		}
	}
	s.missing.add(lost.Bytes, lost.Err)
	return lost
}

func (s *series) wrote(p []byte) {
	if len(p) > 0 {
		s.size += int64(len(p))
		s.midLine = p[len(p)-1] != '\n'
	}
}

// fits returns how much of p goes into the live file: all of it, or as many
// whole lines as there is room for. A line that is longer than a file, or has
// begun in this one, is cut.
func (s *series) fits(p []byte) int {
	room := s.maxSize - s.size
	switch {
	case room <= 0:
		return 0
	case int64(len(p)) <= room:
		return len(p)
	}
	if end := bytes.LastIndexByte(p[:room], '\n') + 1; end > 0 {
		return end
	}
	if s.size > 0 && !s.midLine {
		return 0
	}
	return int(room)
}

// rotate begins a new file. Where that fails the live one is emptied instead:
// the bound comes first. It returns what was lost by that, and why.
func (s *series) rotate() (overwritten int64, err error) {
	if err = s.shift(); err == nil {
		s.size, s.midLine = 0, false
		return 0, nil
	}
	err = fmt.Errorf("cannot begin a new file: %w", err)
	if e := s.live.Truncate(0); e != nil {
		return 0, errors.Join(err, e)
	}
	overwritten, s.size, s.midLine = s.size, 0, false
	return overwritten, err
}

// shift moves every file one further, the oldest over the edge, and opens a new
// one. The new one is made first, since that is what a full disk refuses.
func (s *series) shift() error {
	next := "." + s.name + ".next"
	if err := unix.Unlinkat(s.dir, next, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	live, _, err := openAt(s.dir, next, unix.O_EXCL, s.owner)
	if err != nil {
		return err
	}
	for i := s.maxFiles - 1; i > 0 && err == nil; i-- {
		err = s.rename(s.number(i-1), s.number(i))
	}
	if err == nil {
		err = s.rename(next, s.name)
	}
	if err != nil {
		return errors.Join(err, live.Close(), unix.Unlinkat(s.dir, next, 0))
	}
	_ = s.live.Close() // it was written without buffering
	s.live = live
	return nil
}

func (s *series) rename(from, to string) error {
	err := unix.Renameat(s.dir, from, s.dir, to)
	if errors.Is(err, unix.ENOENT) {
		return nil // There are not so many yet, or its owner has removed it.
	}
	return err
}

func (s *series) number(i int) string {
	if i == 0 {
		return s.name
	}
	return fmt.Sprintf("%s.%d", s.name, i)
}

// tellMissing writes into the file what is missing at this place.
func (s *series) tellMissing() {
	if s.missing.Bytes == 0 {
		return
	}
	text := fmt.Appendf(nil, "[tandem-executor: %s]\n", s.missing)
	if s.midLine {
		text = append([]byte{'\n'}, text...)
	}
	if s.size+int64(len(text)) > s.maxSize {
		overwritten, err := s.rotate()
		s.missing.add(overwritten, err)
		if s.size > 0 {
			return
		}
	}
	n, err := s.live.Write(text)
	s.wrote(text[:n])
	if err == nil {
		s.missing = Loss{}
	}
}
