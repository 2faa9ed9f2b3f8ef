package conform

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// stage is the file server of a scenario, which is also where its executors
// connect.
type stage struct {
	listener net.Listener
	server   *http.Server
	arrived  func(*executor, *look)
	told     func(*executor, int, report)
}

// executor is the player's end of a steered executor.
type executor struct {
	id   string
	out  *json.Encoder
	told func(*executor, int, report)
	gone chan struct{} // closed when its process has ended

	mu       sync.Mutex
	incoming map[int]*io.PipeWriter // what comes on the connections
}

// send has the executor make a request.
func (e *executor) send(id int, network, address string, request []byte) {
	in, out := io.Pipe()
	e.mu.Lock()
	e.incoming[id] = out
	e.mu.Unlock()
	go receive(in, methodOf(request), func(r report) { e.told(e, id, r) })
	e.order(order{Do: doSend, ID: id, Network: network, Address: address, Request: request})
}

// take hands on what came on one of the executor's connections.
func (e *executor) take(s said) {
	e.mu.Lock()
	out := e.incoming[s.ID]
	e.mu.Unlock()
	switch {
	case out == nil:
	case s.End == io.EOF.Error():
		_ = out.Close() // cannot fail
	case s.End != "":
		_ = out.CloseWithError(errors.New(s.End)) // cannot fail
	default:
		_, _ = out.Write(s.Data) // nobody is left to whom an error would matter
	}
}

// order has the executor do something. One that has gone does nothing.
func (e *executor) order(o order) { _ = e.out.Encode(o) }

// newStage serves at an address until close. program is what executors run,
// which must be readable by any user.
func newStage(address, program string, arrived func(*executor, *look), told func(*executor, int, report)) (*stage, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot serve files: %w", err)
	}
	archive, err := exampleArchive()
	if err != nil {
		return nil, err
	}
	s := &stage{listener: listener, arrived: arrived, told: told}
	mux := http.NewServeMux()
	serve := func(path string, content []byte) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
	}
	// A script, so that the program itself need not be copied into sandboxes.
	serve("/files/example-executor", fmt.Appendf(nil, "#!/bin/sh\nexec '%s' \"$@\"\n", program))
	serve("/files/a.txt", []byte("abc"))
	serve("/files/a.tar.gz", archive)
	mux.HandleFunc(controlPath, s.control)
	s.server = &http.Server{Handler: mux}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

func (s *stage) close() { _ = s.server.Close() }

// exampleArchive is an archive with one file in it.
func exampleArchive() ([]byte, error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	text := []byte("abc")
	if err := archive.WriteHeader(&tar.Header{Name: "a.txt", Mode: 0o644, Size: int64(len(text))}); err != nil {
		return nil, err
	}
	if _, err := archive.Write(text); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	err := zip.Close()
	return out.Bytes(), err
}

// control takes an executor's connection.
func (s *stage) control(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	s.listen(conn, buffered.Reader)
}

func (s *stage) listen(conn net.Conn, in *bufio.Reader) {
	e := &executor{out: json.NewEncoder(conn), told: s.told, gone: make(chan struct{}), incoming: map[int]*io.PipeWriter{}}
	defer close(e.gone)
	decoder := json.NewDecoder(in)
	for {
		var one said
		if err := decoder.Decode(&one); err != nil {
			return
		}
		if one.Look != nil {
			for _, variable := range one.Look.Env {
				if id, ok := strings.CutPrefix(variable, "MESOS_EXECUTOR_ID="); ok {
					e.id = id
				}
			}
			s.arrived(e, one.Look)
		}
		if one.ID != 0 {
			e.take(one)
		}
	}
}

// NewStage makes a directory for a scenario and gives it an address of this
// process's own. Close removes it.
func NewStage(number int, program string, schema *wire.Schema) (Stage, error) {
	dir, err := os.MkdirTemp("", "localmesos-conform")
	if err != nil {
		return Stage{}, fmt.Errorf("cannot make a stage: %w", err)
	}
	pid := os.Getpid()
	return Stage{
		IP:      fmt.Sprintf("127.%d.%d.%d", 64+pid>>8&127, pid&255, number),
		Dir:     dir,
		Program: program,
		Schema:  schema,
	}, os.Chmod(dir, 0o755)
}

// Close removes what a play leaves.
func (s Stage) Close() error { return os.RemoveAll(s.Dir) }

// Program copies the running program to a place where every user can run it,
// and returns that and how to remove it.
func Program() (path string, remove func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, fmt.Errorf("cannot find this program: %w", err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		return "", nil, fmt.Errorf("cannot copy this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "localmesos-conform")
	if err != nil {
		return "", nil, fmt.Errorf("cannot copy this program: %w", err)
	}
	remove = func() error { return os.RemoveAll(dir) }
	path = filepath.Join(dir, "executor")
	if err := errors.Join(os.WriteFile(path, content, 0o755), os.Chmod(dir, 0o755)); err != nil {
		return "", nil, errors.Join(fmt.Errorf("cannot copy this program: %w", err), remove())
	}
	return path, remove, nil
}
