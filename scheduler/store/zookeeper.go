package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// zkFormat is the version of the format below, which this package reads and
// writes. A change that an older scheduler would misread counts it up.
//
// Below the URL's path, the znode "state" holds the head, in JSON, and has the
// nodes of the log as its children, named by their numbers in ten digits:
//
//	state               {"format":1,"epoch":3,"leader":"…","first":17,"last":42}
//	state/0000000017    the oldest node
//	…
//	state/0000000042    the newest
//
// What the nodes of first to last say, in their order, is the state: the last
// change under a key counts. What they look like stands beside type raw. Nodes
// with other numbers are of a write that was never finished, and count nothing.
//
// A write adds nodes, and sets the head to include them, in one multi: that is
// what makes it happen, whole. One that does not fit into a multi puts its first
// nodes beyond the head beforehand. The same multi takes away the oldest nodes,
// after what still counts of them was added again, so that the log is never much
// longer than twice what counts.
//
// Every multi checks that the leader's own znode is there, which is gone with
// its session, and sets the head from the version that the leader has last
// written. Another leader writes the head, with its epoch, before it reads: from
// then on every write of an earlier one is refused.
const zkFormat = 1

const (
	// zkMulti bounds the data of one multi, in bytes. ZooKeeper takes 1 MiB
	// (jute.maxbuffer) with all that is around it.
	zkMulti = 3 * nodeSize
	// zkDrops bounds how many of the oldest nodes one write takes away.
	zkDrops = 256
	// zkSlack is how many bytes, and zkEntries how many entries, the log may have
	// beyond what counts before its oldest are taken away.
	zkSlack   = 4 << 20
	zkEntries = 512
	// zkReads is how many nodes are read at once.
	zkReads = 32
	// zkRetry is the wait before a request is made again whose outcome is not
	// known. The client itself waits a second between rounds of the servers.
	zkRetry = 50 * time.Millisecond
)

// ErrDeposed ends a store whose scheduler leads no more.
var ErrDeposed = errors.New("this scheduler does not lead any more, and ZooKeeper takes nothing from it")

// ZooKeeperOptions are what a ZooKeeper store is made of. All but ACL must be
// given.
type ZooKeeperOptions struct {
	// Conn is the session that leadership belongs to. It stays the caller's.
	Conn *zk.Conn
	// Path is where the state is kept: that of the URL. It must be there.
	Path string
	// ACL is who may read and write. Default: everybody.
	ACL []zk.ACL
	// Fence is the path of the leader's own ephemeral znode.
	Fence string
	// Lost is closed when leadership is lost. Until then the store waits for a
	// ZooKeeper that is away.
	Lost <-chan struct{}
}

// ZooKeeper keeps records in a ZooKeeper ensemble, for the scheduler that leads.
type ZooKeeper struct {
	zkReader
	// fence and acl are ZooKeeperOptions'.
	fence string
	acl   []zk.ACL
	head  head
	// version is that of the head's znode.
	version int32
	closed  bool

	// What is below is nil until the log was read.

	// index has where each record is.
	index map[recordKey]place
	// entries are those of the log, the oldest first.
	entries []entry
	// live and total are the bytes of changes that count, and of all.
	live, total int
}

// head is the data of the znode state.
type head struct {
	Format int    `json:"format"`
	Epoch  uint64 `json:"epoch"`
	// Leader is the name of the leader's znode, for people.
	Leader string `json:"leader"`
	// First is one more than Last when there are no nodes.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

type recordKey struct {
	kind state.Kind
	key  string
}

// place is where a record is: the number of its entry's first node.
type place struct {
	entry uint64
	size  int
}

type entry struct {
	first uint64
	nodes int
	size  int
}

// OpenZooKeeper opens the store for a new leader, and makes it when it is not
// there. When it returns, no earlier leader can write any more. It blocks while
// ZooKeeper is away; its error is one line that says what to do.
func OpenZooKeeper(opt ZooKeeperOptions) (*ZooKeeper, error) {
	if opt.Conn == nil || opt.Path == "" || opt.Fence == "" || opt.Lost == nil {
		return nil, errors.New("cannot open the state in ZooKeeper: Conn, Path, Fence or Lost is missing")
	}
	if opt.ACL == nil {
		opt.ACL = zk.WorldACL(zk.PermAll)
	}
	r, err := newZKReader(opt.Conn, opt.Path, opt.Lost)
	if err != nil {
		return nil, fmt.Errorf("cannot open the state in ZooKeeper: %w", err)
	}
	z := &ZooKeeper{zkReader: r, fence: opt.Fence, acl: opt.ACL}
	if err := z.ascend(); err != nil {
		return nil, z.explain("open", err)
	}
	if err := z.clear(); err != nil {
		return nil, z.explain("open", err)
	}
	return z, nil
}

// ascend makes the head this leader's, with the next epoch.
func (z *ZooKeeper) ascend() error {
	for {
		now, version, err := z.readHead()
		if err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		found := err == nil
		if !found {
			now = head{Format: zkFormat, First: 1}
		}
		if err := now.readable(); err != nil {
			return err
		}
		mine := now
		mine.Epoch++
		mine.Leader = path.Base(z.fence)
		var write any = &zk.SetDataRequest{Path: z.statePath(), Data: mine.encode(), Version: version}
		if !found {
			write = &zk.CreateRequest{Path: z.statePath(), Data: mine.encode(), Acl: z.acl}
		}
		err = z.patiently(func() error {
			_, err := z.conn.Multi(&zk.CheckVersionRequest{Path: z.fence, Version: -1}, write)
			return err
		})
		switch {
		case errors.Is(err, zk.ErrBadVersion), errors.Is(err, zk.ErrNodeExists):
			// An earlier leader was quicker, or an answer was lost.
			continue
		case errors.Is(err, zk.ErrNoNode) && !z.exists(z.fence):
			return ErrDeposed
		case err != nil:
			return err
		}
		if z.head, z.version, err = z.readHead(); err != nil {
			return err
		}
		if z.head != mine {
			return ErrDeposed
		}
		return nil
	}
}

// parseHead reads a head of any format.
func parseHead(data []byte) (head, error) {
	var h head
	if err := json.Unmarshal(data, &h); err != nil || h.Format < 1 || h.First < 1 || h.First > h.Last+1 {
		return head{}, damage("its head is not one: %.100q", data)
	}
	return h, nil
}

// readable returns an error unless this package reads the head's format.
func (h head) readable() error {
	if h.Format != zkFormat {
		return fmt.Errorf("it has format %d, and this scheduler reads format %d; use the scheduler that has written it, or a newer one", h.Format, zkFormat)
	}
	return nil
}

func (h head) encode() []byte {
	data, err := json.Marshal(h)
	if err != nil {
		panic("numbers and a name make no JSON: " + err.Error())
	}
	return data
}

// clear takes away what a write that was not finished has left beyond the head,
// and finds that a node of the log is missing.
func (z *ZooKeeper) clear() error {
	var names []string
	err := z.patiently(func() error {
		n, _, err := z.conn.Children(z.statePath())
		if err == nil {
			names = n
		}
		return err
	})
	if err != nil {
		return err
	}
	var left []uint64
	found := uint64(0)
	for _, name := range names {
		n, err := strconv.ParseUint(name, 10, 64)
		switch {
		case err != nil:
			return damage("there is a znode %s, which is not of it", path.Join(z.statePath(), name))
		case n < z.head.First || n > z.head.Last:
			left = append(left, n)
		default:
			found++
		}
	}
	if want := z.head.Last + 1 - z.head.First; found != want {
		return damage("%d of its %d nodes are missing", want-found, want)
	}
	for _, n := range left {
		err := z.patiently(func() error {
			_, err := z.conn.Multi(z.stillLeader(), z.headUnchanged(), &zk.DeleteRequest{Path: z.nodePath(n), Version: -1})
			return err
		})
		switch {
		case errors.Is(err, zk.ErrBadVersion):
			return ErrDeposed
		case errors.Is(err, zk.ErrNoNode):
			// The answer of an earlier try may have been lost.
			if !z.exists(z.fence) {
				return ErrDeposed
			}
		case err != nil:
			return err
		}
	}
	return nil
}

func (z *ZooKeeper) exists(path string) bool {
	found := false
	err := z.patiently(func() error {
		f, _, err := z.conn.Exists(path)
		if err == nil {
			found = f
		}
		return err
	})
	return err == nil && found
}

func (z *ZooKeeper) stillLeader() any {
	return &zk.CheckVersionRequest{Path: z.fence, Version: -1}
}

func (z *ZooKeeper) headUnchanged() any {
	return &zk.CheckVersionRequest{Path: z.statePath(), Version: z.version}
}

// Close implements Store. The session stays open.
func (z *ZooKeeper) Close() error {
	z.closed = true
	return nil
}
