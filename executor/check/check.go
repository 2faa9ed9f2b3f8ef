// Package check performs the network checks of tasks: an HTTP GET or a TCP
// connection to a port of this machine, as Mesos's own executors do them. When
// a check is due and what its result means is for package core; commands are
// run by package task, like any other program of a task.
//
// Every check ends when its context does, and leaves nothing behind.
package check

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/tandem-mesos/tandem/executor/core"
)

// maxRedirects is how many redirects curl follows, by which Mesos's own
// executors perform HTTP checks; see its --max-redirs.
const maxRedirects = 50

// HTTP makes one GET and returns the status of the answer, which counts when it is
// there to its last byte. Redirects are
// followed, and certificates are not verified: a task checks itself. This is
// what curl -L -k does for Mesos's own executors (src/checks/checker_process.cpp).
func HTTP(ctx context.Context, k core.HTTPCheck) core.CheckResult {
	path := k.Path
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	target, err := url.Parse(k.Scheme + "://" + address(k.Port, k.IPv6) + path)
	if err != nil {
		return core.CheckResult{Err: fmt.Sprintf("cannot use the path %q: %v", k.Path, err)}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return core.CheckResult{Err: fmt.Sprintf("cannot make a request: %v", err)}
	}
	transport := &http.Transport{
		DisableKeepAlives:  true,
		DisableCompression: true,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
	}
	client := http.Client{Transport: transport, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return nil
	}}
	response, err := client.Do(request)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	if err != nil {
		// Its own text repeats the address.
		if of := new(url.Error); errors.As(err, &of) {
			err = of.Err
		}
		return core.CheckResult{Err: fmt.Sprintf("GET %s: %s", target, explain(ctx, err))}
	}
	return core.CheckResult{Status: response.StatusCode}
}

// TCP makes one connection and closes it. Whatever the kernel says of a connection
// that cannot be made, there is none.
func TCP(ctx context.Context, k core.TCPCheck) core.CheckResult {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address(k.Port, k.IPv6))
	if err == nil {
		connection.Close()
		return core.CheckResult{Connected: true}
	}
	if call := new(os.SyscallError); errors.As(err, &call) && call.Syscall == "connect" && ctx.Err() == nil {
		return core.CheckResult{}
	}
	return core.CheckResult{Err: fmt.Sprintf("connection to port %d: %s", k.Port, explain(ctx, err))}
}

func address(port uint32, ipv6 bool) string {
	host := "127.0.0.1"
	if ipv6 {
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
}

// explain puts an error of the network into few words.
func explain(ctx context.Context, err error) string {
	var errno syscall.Errno
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx).Error()
	case errors.As(err, &errno):
		return errno.Error()
	default:
		return err.Error()
	}
}
