package zktest

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Ensemble is several ZooKeepers that are one, as in production.
type Ensemble struct{ Servers []*Server }

// StartEnsemble starts an ensemble that ends with the test, or skips the test as
// Start does.
func StartEnsemble(t testing.TB, servers int) *Ensemble {
	t.Helper()
	needs(t)
	ports, err := freePorts(3 * servers)
	if err != nil {
		t.Fatal(err)
	}
	var members strings.Builder
	members.WriteString("initLimit=20\nsyncLimit=4\n")
	for i := range servers {
		fmt.Fprintf(&members, "server.%d=127.0.0.1:%d:%d\n", i+1, ports[3*i+1], ports[3*i+2])
	}
	e := &Ensemble{}
	for i := range servers {
		dir := t.TempDir()
		s, err := configure(dir, ports[3*i], members.String())
		if err == nil {
			err = os.Mkdir(filepath.Join(dir, "data"), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "data", "myid"), fmt.Appendln(nil, i+1), 0o600)
		}
		if err == nil {
			err = s.launch()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		e.Servers = append(e.Servers, s)
	}
	for _, s := range e.Servers {
		if err := s.answers(); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// Addresses are those of all servers, as in a URL.
func (e *Ensemble) Addresses() string {
	var all []string
	for _, s := range e.Servers {
		all = append(all, s.Address)
	}
	return strings.Join(all, ",")
}

// Leader waits until one of the servers leads the others, and returns it.
func (e *Ensemble) Leader(t testing.TB) *Server {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		for _, s := range e.Servers {
			if s.leads() {
				return s
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("no server of the ensemble leads the others")
		}
	}
}

// leads asks the server, with ZooKeeper's command srvr, whether it leads an
// ensemble.
func (s *Server) leads() bool {
	c, err := net.DialTimeout("tcp", s.Address, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("srvr")); err != nil {
		return false
	}
	says, err := io.ReadAll(c)
	return err == nil && strings.Contains(string(says), "\nMode: leader\n")
}
