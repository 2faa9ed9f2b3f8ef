package app

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
)

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on %s: something else does; stop it, or choose another address with --listen", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("cannot listen on %s: this user may not use that port; choose one above 1023 with --listen", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("cannot listen on %s: this machine has no such address; choose another with --listen", address)
	case err != nil:
		return nil, fmt.Errorf("cannot listen: %w; choose another address with --listen", err)
	}
	return l, nil
}

// localAddress is where this machine reaches the listener.
func localAddress(scheme string, a net.Addr) *url.URL {
	host, port, _ := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}
}

// reachable is where others reach the listener: at its own address, or, when it
// listens on all, at that of the interface through which the masters are
// reached. Nothing is sent to find out.
func reachable(scheme string, a net.Addr, m detect.Masters) *url.URL {
	local := localAddress(scheme, a)
	host, port, _ := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return local
	}
	for _, to := range servers(m) {
		c, err := net.Dial("udp", to)
		if err != nil {
			continue
		}
		c.Close()
		if from, _, err := net.SplitHostPort(c.LocalAddr().String()); err == nil {
			return &url.URL{Scheme: scheme, Host: net.JoinHostPort(from, port)}
		}
	}
	return local
}

// servers are the addresses that lead to the masters.
func servers(m detect.Masters) []string {
	if m.ZooKeeper != nil {
		return m.ZooKeeper.Servers
	}
	return m.List
}

// warnOfLoopback says so when agents cannot reach what they have to.
func warnOfLoopback(log logrus.FieldLogger, m detect.Masters, advertised *url.URL) {
	if !loopback(advertised.Host) {
		return
	}
	for _, s := range servers(m) {
		if !loopback(s) {
			log.Warnf("agents on other machines cannot reach %s, from where they fetch the executor: listen on an address that they reach "+
				"(--listen 0.0.0.0:7070), or name one (--advertise)", advertised)
			return
		}
	}
}

// loopback reports whether an address, host:port, is this machine's own.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// masterShown is the master option for a log, without a password.
func (o *Options) masterShown(m detect.Masters) string {
	if m.ZooKeeper != nil {
		return m.ZooKeeper.String()
	}
	return strings.Join(m.List, ",")
}

// isAddress reports whether it is an address of the form host:port.
func isAddress(s string) bool {
	_, _, err := net.SplitHostPort(s)
	return err == nil
}
