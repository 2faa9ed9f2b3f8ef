package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// socketMode lets executors of all users connect.
const socketMode = 0o666

// listenSocket serves executors on a Unix domain socket beside the port, if the
// options name one. A file that is left of a former life is replaced.
func (a *Agent) listenSocket() error {
	path := a.options.ExecutorDomainSocket
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot replace the executors' socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("cannot listen on the executors' socket: %w", err)
	}
	// While nobody listens the file stays, as a real agent's does.
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, socketMode); err != nil {
		return errors.Join(fmt.Errorf("cannot let executors use their socket: %w", err), listener.Close())
	}
	a.socket = newServer(listener, http.HandlerFunc(a.serveSocket), a.log)
	return nil
}

// serveSocket answers what comes through the socket: there are the APIs only,
// and only under the agent's own name.
func (a *Agent) serveSocket(w http.ResponseWriter, r *http.Request) {
	switch strings.TrimSuffix(r.URL.Path, "/") {
	case "/slave(1)/api/v1/executor", "/slave(1)/api/v1":
		a.router.ServeHTTP(w, r)
	default:
		wire.Forbidden("403 Forbidden.").Write(w)
	}
}

// servers are what answers on the port and on the socket. The caller holds mu, or
// is the only one.
func (a *Agent) servers() []*server {
	if a.socket == nil {
		return []*server{a.server}
	}
	return []*server{a.server, a.socket}
}
