// Package zookeeper is what all uses of a ZooKeeper ensemble share: how people
// name one, sessions that give a silent server up in time, and who may read and
// write what is put there. It has no policy: whether to try again after an error
// is for its users to say.
package zookeeper

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-zookeeper/zk"
)

// Scheme begins every URL of an ensemble.
const Scheme = "zk://"

// defaultPort is meant where none is given.
const defaultPort = 2181

// ErrNoPath is Parse's error for a URL without a path. What a good path is
// depends on what is kept there.
var ErrNoPath = errors.New("the ZooKeeper URL has no path")

// URL is zk://user:pass@host:port,host:port/path in parts.
type URL struct {
	// Credentials are user:pass, for ZooKeeper's digest scheme; empty for none.
	Credentials string
	// Servers have the form host:port.
	Servers []string
	// Path begins with a slash and does not end with one, such as /mesos.
	Path string
}

// Parse reads a URL as Mesos does: the path begins at the first slash after the
// scheme, and the credentials end at the last @ before it. The error says what
// is wrong, and never contains a password.
func Parse(s string) (URL, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), Scheme)
	if !ok {
		return URL{}, errors.New("a ZooKeeper URL begins with zk://")
	}
	hosts, path, _ := strings.Cut(rest, "/")
	u := URL{Path: "/" + strings.Trim(path, "/")}
	if i := strings.LastIndexByte(hosts, '@'); i >= 0 {
		u.Credentials, hosts = hosts[:i], hosts[i+1:]
		if user, _, ok := strings.Cut(u.Credentials, ":"); !ok || user == "" {
			return URL{}, errors.New("the ZooKeeper URL has credentials that are not of the form user:password")
		}
	}
	if u.Path == "/" {
		return URL{}, ErrNoPath
	}
	odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	for part := range strings.SplitSeq(u.Path[1:], "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, odd) {
			return URL{}, fmt.Errorf("the ZooKeeper URL has a path that ZooKeeper does not allow: %q", u.Path)
		}
	}
	var err error
	if u.Servers, err = Addresses(hosts, defaultPort); err != nil {
		return URL{}, err
	}
	return u, nil
}

// String returns the URL without its password.
func (u URL) String() string {
	user := ""
	if name, _, ok := strings.Cut(u.Credentials, ":"); ok {
		user = name + ":***@"
	}
	return Scheme + user + strings.Join(u.Servers, ",") + u.Path
}

// ACL is who may read and write what is made under the URL: whoever has its
// credentials, and nobody else; everybody, when it has none.
func (u URL) ACL() []zk.ACL {
	user, password, ok := strings.Cut(u.Credentials, ":")
	if !ok {
		return zk.WorldACL(zk.PermAll)
	}
	return zk.DigestACL(zk.PermAll, user, password)
}

// Connect begins a session, and returns at once. The function is told of every
// change of the session's state, on a goroutine that it must not block; nil is
// told nothing.
//
// When a session has expired the connection begins another by itself: what
// must belong to one session has to check for that.
func Connect(u URL, sessionTimeout time.Duration, told func(zk.Event)) (*zk.Conn, error) {
	dialer := func(network, address string, timeout time.Duration) (net.Conn, error) {
		c, err := net.DialTimeout(network, address, timeout)
		if err != nil {
			return nil, err
		}
		return impatient{c, sessionTimeout * 2 / 3}, nil
	}
	conn, _, err := zk.Connect(u.Servers, sessionTimeout, zk.WithDialer(dialer), zk.WithLogger(silent{}), zk.WithLogInfo(false),
		zk.WithEventCallback(func(e zk.Event) {
			if told != nil {
				told(e)
			}
		}))
	if err != nil {
		return nil, fmt.Errorf("cannot connect to ZooKeeper at %s: %w", strings.Join(u.Servers, ","), err)
	}
	return conn, nil
}

// Authenticate sends the URL's credentials, and does nothing when there are
// none. It blocks until a server has them or there is none; a later connection
// of the same conn sends them by itself. ZooKeeper takes any credentials:
// whether they are the right ones shows at what they give access to.
func Authenticate(conn *zk.Conn, u URL) error {
	if u.Credentials == "" {
		return nil
	}
	if err := conn.AddAuth("digest", []byte(u.Credentials)); err != nil {
		return fmt.Errorf("ZooKeeper at %s has not taken the credentials: %w", u, err)
	}
	return nil
}

// Uncertain reports whether a request that failed so may have taken effect, and
// may do better once the connection is back. Every other error is an answer.
func Uncertain(err error) bool {
	return errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrNoServer) || errors.As(err, new(net.Error))
}

// impatient is a connection that gives a silent server up in time: by itself
// the client waits for more than a minute for one that takes a connection and
// then says nothing, though others are there.
type impatient struct {
	net.Conn
	patience time.Duration
}

// SetReadDeadline sets the deadline, if it is no later than patience allows.
func (c impatient) SetReadDeadline(t time.Time) error {
	if latest := time.Now().Add(c.patience); t.After(latest) {
		t = latest
	}
	return c.Conn.SetReadDeadline(t)
}

// silent takes what the client would log. What matters of it is in errors.
type silent struct{}

// Printf does nothing.
func (silent) Printf(string, ...any) {}

// Addresses reads host:port,host:port…, where the port may be left out.
func Addresses(s string, port int) ([]string, error) {
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
