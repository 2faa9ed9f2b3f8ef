// Package zktest starts real ZooKeepers for tests, from Debian's package, and
// does to them what happens to ZooKeepers. A test that finds none is skipped.
package zktest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
)

// script is that of Debian's package zookeeper.
const script = "/usr/share/zookeeper/bin/zkServer.sh"

// Server is a real ZooKeeper of one server, or one of an Ensemble.
type Server struct {
	// Address is its host:port, the same after every start.
	Address string

	dir string
	// flags are the Java virtual machine's.
	flags string
	cmd   *exec.Cmd
}

// Start starts a server that ends with the test, or skips the test where there
// is none, and where tests are to be short. It does not sync what it is told,
// unless durable is set, so that tests do not wait for a disk. Its shortest
// session is of one second.
func Start(t testing.TB, durable bool) *Server {
	t.Helper()
	needs(t)
	s, err := start(t.TempDir(), durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// needs skips the test where there is no ZooKeeper, and where tests are to be
// short.
func needs(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("a real ZooKeeper takes some seconds to start")
	}
	if _, err := os.Stat(script); err != nil {
		t.Skipf("ZooKeeper is not installed (apt-get install zookeeper): %v", err)
	}
}

func start(dir string, durable bool) (*Server, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s, err := configure(dir, ports[0], "")
	if err != nil {
		return nil, err
	}
	if durable {
		s.flags = "-Xmx1g"
	}
	return s, s.restart()
}

// freePorts returns ports that nobody uses now.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// All are held until each was found, so that none is found twice.
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// configure writes the configuration of a server that does not run yet.
func configure(dir string, port int, more string) (*Server, error) {
	s := &Server{Address: fmt.Sprintf("127.0.0.1:%d", port), dir: dir, flags: "-Xmx256m -Dzookeeper.forceSync=no"}
	config := fmt.Sprintf("tickTime=500\ndataDir=%s/data\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\n%s", dir, port, more)
	return s, os.WriteFile(filepath.Join(dir, "zoo.cfg"), []byte(config), 0o600)
}

// Shared is a server for all tests of a package, which its TestMain stops.
type Shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Server starts the server when it is first asked for, or skips the test as
// Start does.
func (s *Shared) Server(t testing.TB) *Server {
	t.Helper()
	s.once.Do(func() {
		if testing.Short() {
			return
		}
		if _, s.err = os.Stat(script); s.err != nil {
			return
		}
		dir, err := os.MkdirTemp("", "tandem-zookeeper-")
		if err != nil {
			s.err = err
			return
		}
		s.server, s.err = start(dir, false)
	})
	switch {
	case errors.Is(s.err, os.ErrNotExist):
		t.Skipf("ZooKeeper is not installed (apt-get install zookeeper): %v", s.err)
	case s.err != nil:
		t.Fatal(s.err)
	case s.server == nil:
		t.Skip("a real ZooKeeper takes some seconds to start")
	}
	return s.server
}

// Stop stops the server, if there is one.
func (s *Shared) Stop() {
	if s.server != nil {
		s.server.Stop()
		_ = os.RemoveAll(s.server.dir)
	}
}

// Launch starts the server again with what it had, and does not wait for it: one
// of an ensemble answers only as one of a majority.
func (s *Server) Launch(t testing.TB) {
	t.Helper()
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
}

// Restart starts the server again with what it had, and returns when it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.restart(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) restart() error {
	if err := s.launch(); err != nil {
		return err
	}
	return s.answers()
}

func (s *Server) logPath() string { return filepath.Join(s.dir, "log") }

// launch starts the process.
func (s *Server) launch() error {
	log, err := os.Create(s.logPath())
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(script, "start-foreground", filepath.Join(s.dir, "zoo.cfg"))
	s.cmd.Env = append(os.Environ(), "ZOO_LOG_DIR="+s.dir, "JVMFLAGS="+s.flags)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return s.cmd.Start()
}

// answers waits until the server does.
func (s *Server) answers() error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	deadline := time.Now().Add(time.Minute)
	for {
		if _, _, err := c.Exists("/"); err == nil {
			return nil
		} else if time.Now().After(deadline) {
			said, _ := os.ReadFile(s.logPath())
			return fmt.Errorf("ZooKeeper does not answer: %w; it says:\n%s", err, said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Stop kills the server. What it had stays for Restart. Stopping twice is
// harmless.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Connect returns a session of its own, which ends with the test.
func (s *Server) Connect(t testing.TB) *zk.Conn {
	t.Helper()
	c, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (s *Server) connect() (*zk.Conn, error) {
	return zookeeper.Connect(zookeeper.URL{Servers: []string{s.Address}}, 10*time.Second, nil)
}
