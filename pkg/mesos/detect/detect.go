// Package detect finds the leading master of a Mesos cluster: from a list of
// masters, or from the ZooKeeper ensemble that the masters elect their leader
// with. It must never decide when to try again.
package detect

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
)

// The ports that are meant where none is given.
const (
	masterPort    = 5050
	zookeeperPort = 2181
)

// Masters says where the leading master is to be looked for: exactly one of its
// parts is set.
type Masters struct {
	// List has the addresses of all masters, host:port.
	List []string
	// ZooKeeper is the ensemble.
	ZooKeeper *ZooKeeperURL
}

// ZooKeeperURL is zk://user:pass@host:port,host:port/path in parts.
type ZooKeeperURL struct {
	// Credentials are user:pass, for ZooKeeper's digest scheme; empty for none.
	Credentials string
	// Servers have the form host:port.
	Servers []string
	// Path is where the masters' znodes are, such as /mesos.
	Path string
}

// String returns the URL without its password.
func (u ZooKeeperURL) String() string {
	user := ""
	if name, _, ok := strings.Cut(u.Credentials, ":"); ok {
		user = name + ":***@"
	}
	return "zk://" + user + strings.Join(u.Servers, ",") + u.Path
}

// Parse reads what a person says for the masters: host:port[,host:port…], where
// the port 5050 may be left out, or zk://[user:pass@]host:port[,…]/path. The
// error says what is wrong, and never contains a password.
func Parse(s string) (Masters, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return Masters{}, errors.New("no master is named; give host:port[,host:port…] or zk://host:port[,…]/mesos")
	case strings.HasPrefix(s, "zk://"):
		u, err := parseZooKeeper(strings.TrimPrefix(s, "zk://"))
		return Masters{ZooKeeper: u}, err
	case strings.Contains(s, "://"):
		scheme, _, _ := strings.Cut(s, "://")
		return Masters{}, fmt.Errorf("masters are named as host:port[,host:port…] or zk://host:port[,…]/mesos, not by %s://", scheme)
	}
	list, err := addresses(s, masterPort)
	return Masters{List: list}, err
}

// parseZooKeeper reads the URL as Mesos does: the path begins at the first
// slash, and the credentials end at the last @ before it.
func parseZooKeeper(s string) (*ZooKeeperURL, error) {
	hosts, path, _ := strings.Cut(s, "/")
	u := &ZooKeeperURL{Path: "/" + strings.Trim(path, "/")}
	if i := strings.LastIndexByte(hosts, '@'); i >= 0 {
		u.Credentials, hosts = hosts[:i], hosts[i+1:]
		if user, _, ok := strings.Cut(u.Credentials, ":"); !ok || user == "" {
			return nil, errors.New("the ZooKeeper URL has credentials that are not of the form user:password")
		}
	}
	if u.Path == "/" {
		return nil, errors.New("the ZooKeeper URL has no path; masters usually register below /mesos: zk://host:port/mesos")
	}
	odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	for part := range strings.SplitSeq(u.Path[1:], "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, odd) {
			return nil, fmt.Errorf("the ZooKeeper URL has a path that ZooKeeper does not allow: %q", u.Path)
		}
	}
	var err error
	u.Servers, err = addresses(hosts, zookeeperPort)
	if err != nil {
		return nil, err
	}
	return u, nil
}

// addresses reads host:port,host:port…
func addresses(s string, port int) ([]string, error) {
	var list []string
	for a := range strings.SplitSeq(s, ",") {
		a, err := address(strings.TrimSpace(a), port)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// address completes host, host:port, [ip6] or [ip6]:port.
func address(s string, port int) (string, error) {
	if s == "" {
		return "", errors.New("an address of the list is empty")
	}
	if strings.ContainsAny(s, "/@? \t\r\n") {
		return "", fmt.Errorf("%q is not an address of the form host:port", s)
	}
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		host, p, err = net.SplitHostPort(s + ":" + strconv.Itoa(port))
	}
	if err != nil || host == "" {
		return "", fmt.Errorf("%q is not an address of the form host:port", s)
	}
	if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q has no port between 1 and 65535", s)
	}
	return net.JoinHostPort(host, p), nil
}
