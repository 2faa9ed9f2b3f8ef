package output

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// journalLines is how many lines wait for a writer that is slow.
	journalLines = 1024
	// journalPatience is how long the end waits for such a writer.
	journalPatience = time.Second
)

// Journal is a writer for the executor's own log that never waits: behind it may
// be a disk that hangs, or a logger that has stopped reading. Each Write is one
// line, which is written later, or dropped and counted. Its methods may be called
// from several goroutines at once.
type Journal struct {
	to    io.Writer
	lines chan []byte
	marks chan chan struct{} // of those who flush
	done  chan struct{}

	mu      sync.Mutex // guards what follows
	closed  bool
	dropped int
}

// NewJournal returns a Journal that writes to another writer, whose errors it
// ignores: there is nobody to tell.
func NewJournal(to io.Writer) *Journal {
	j := &Journal{to: to, lines: make(chan []byte, journalLines), marks: make(chan chan struct{}), done: make(chan struct{})}
	go j.run()
	return j
}

// Write takes a line. It never fails.
func (j *Journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return len(line), nil
	}
	if j.dropped > 0 && len(j.lines) < cap(j.lines)-1 {
		j.lines <- fmt.Appendf(nil, "%d lines are missing here: nothing took them\n", j.dropped)
		j.dropped = 0
	}
	select {
	case j.lines <- append([]byte(nil), line...):
	default:
		j.dropped++
	}
	return len(line), nil
}

// Flush waits until what was written by now has been taken, for a second at the
// most.
func (j *Journal) Flush() {
	mark := make(chan struct{})
	timer := time.NewTimer(journalPatience)
	defer timer.Stop()
	select {
	case j.marks <- mark:
	case <-j.done:
		return
	case <-timer.C:
		return
	}
	select {
	case <-mark:
	case <-timer.C:
	}
}

// Close writes what is left, for a second at the most.
func (j *Journal) Close() {
	j.mu.Lock()
	if !j.closed {
		j.closed = true
		close(j.lines)
	}
	j.mu.Unlock()
	timer := time.NewTimer(journalPatience)
	defer timer.Stop()
	select {
	case <-j.done:
	case <-timer.C:
	}
}

func (j *Journal) run() {
	defer close(j.done)
	for {
		select {
		case line, ok := <-j.lines:
			if !ok {
				return
			}
			_, _ = j.to.Write(line)
		case mark := <-j.marks:
			for n := len(j.lines); n > 0; n-- {
				_, _ = j.to.Write(<-j.lines)
			}
			close(mark)
		}
	}
}
