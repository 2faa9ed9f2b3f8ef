// Package audit keeps a record of who has changed what: one JSON object in a line
// for each write that was asked for, done or refused, in a file or in the log.
//
// It must never hold what a request says in words of its own, such as a command
// or an environment, for these may be secrets: names, numbers and choices only.
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// Entry is one write.
type Entry struct {
	Time time.Time `json:"time"`
	// Who is the caller's name, such as token:ci, and From the address that they
	// call from.
	Who  string `json:"who"`
	From string `json:"from"`
	// Call is what was asked for, such as SubmitJob.
	Call string `json:"call"`
	// Jobs are the IDs of the jobs that it was asked for.
	Jobs []string `json:"jobs,omitempty"`
	// Details are the choices and numbers of the request.
	Details map[string]string `json:"details,omitempty"`
	// Before and After are the versions of the one job; absent when there are
	// several, or none.
	Before *uint64 `json:"version_before,omitempty"`
	After  *uint64 `json:"version_after,omitempty"`
	// Result is ok, begun for what goes on for a while, or the code of a refusal.
	Result string `json:"result"`
}

// Log takes entries. Its methods are safe for concurrent use.
type Log struct {
	path string
	log  logrus.FieldLogger
	// mu guards what is below.
	mu   sync.Mutex
	file *os.File
}

// Open returns a log that appends to the file at path, which is made for its
// owner alone when it is not there. Without a path entries go to log.
func Open(path string, log logrus.FieldLogger) (*Log, error) {
	l := &Log{path: path, log: log}
	if err := l.Reopen(); err != nil {
		return nil, err
	}
	return l, nil
}

// Reopen opens the file anew, for whoever has moved it away. When it fails the
// old one goes on to be used.
func (l *Log) Reopen() error {
	if l.path == "" {
		return nil
	}
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--audit-log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
	}
	l.file = file
	return nil
}

// Close closes the file. Entries that come later are lost.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	if err := errors.Join(l.file.Sync(), l.file.Close()); err != nil {
		return fmt.Errorf("cannot close the audit log: %w", err)
	}
	return nil
}

// Write appends an entry. That it cannot is told in the log: by then the write
// may be done.
func (l *Log) Write(e Entry) {
	line, err := json.Marshal(e)
	if err == nil {
		err = l.write(line)
	}
	if err != nil {
		l.log.WithError(err).WithField("entry", string(line)).Error("cannot write to the audit log")
	}
}

// object is an entry in the log: an object among others where the log's lines are
// JSON, and its text where they are not.
type object json.RawMessage

func (o object) MarshalJSON() ([]byte, error) { return o, nil }

func (o object) String() string { return string(o) }

func (l *Log) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" {
		l.log.WithField("audit", object(line)).Info("a write was asked for")
		return nil
	}
	_, err := l.file.Write(append(line, '\n'))
	return err
}
