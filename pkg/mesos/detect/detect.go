// Package detect finds the leading master of a Mesos cluster: from a list of
// masters, or from the ZooKeeper ensemble that the masters elect their leader
// with. It must never decide when to try again.
package detect

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
)

// masterPort is the port that is meant where none is given.
const masterPort = 5050

// Masters says where the leading master is to be looked for: exactly one of its
// parts is set.
type Masters struct {
	// List has the addresses of all masters, host:port.
	List []string
	// ZooKeeper is the ensemble, and the path below which the masters register.
	ZooKeeper *zookeeper.URL
}

// Parse reads what a person says for the masters: host:port[,host:port…], where
// the port 5050 may be left out, or zk://[user:pass@]host:port[,…]/path. The
// error says what is wrong, and never contains a password.
func Parse(s string) (Masters, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return Masters{}, errors.New("no master is named; give host:port[,host:port…] or zk://host:port[,…]/mesos")
	case strings.HasPrefix(s, zookeeper.Scheme):
		u, err := zookeeper.Parse(s)
		if errors.Is(err, zookeeper.ErrNoPath) {
			err = fmt.Errorf("%w; masters usually register below /mesos: zk://host:port/mesos", err)
		}
		if err != nil {
			return Masters{}, err
		}
		return Masters{ZooKeeper: &u}, nil
	case strings.Contains(s, "://"):
		scheme, _, _ := strings.Cut(s, "://")
		return Masters{}, fmt.Errorf("masters are named as host:port[,host:port…] or zk://host:port[,…]/mesos, not by %s://", scheme)
	}
	list, err := zookeeper.Addresses(s, masterPort)
	return Masters{List: list}, err
}
