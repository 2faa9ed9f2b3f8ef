package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// An executor of a scenario does nothing by itself: it connects to the player
// and makes the requests that the recorded executor made. What the two say to
// each other is JSON, one value after another.

// order is what the player has an executor do.
type order struct {
	Do string
	// ID numbers a request; Address and Request say where and what to send.
	ID      int    `json:",omitempty"`
	Network string `json:",omitempty"`
	Address string `json:",omitempty"`
	Request []byte `json:",omitempty"`
	// Status is an exit status.
	Status int `json:",omitempty"`
}

// The orders.
const (
	doSend  = "send"  // make a request
	doClose = "close" // close a request's connection
	doExit  = "exit"  // end with a status
	doKill  = "kill"  // end by SIGKILL
	doEat   = "eat"   // use more memory than there is
	doLook  = "look"  // say what can be seen
)

// said is what an executor tells the player.
type said struct {
	// Data came on the connection of the request of this number, or its End:
	// the player makes sense of it, so that big events cost executors little.
	ID   int    `json:",omitempty"`
	Data []byte `json:",omitempty"`
	End  string `json:",omitempty"`
	// Look is set at the beginning, and whenever it is asked for.
	Look *look `json:",omitempty"`
}

// look is what an executor sees of its container.
type look struct {
	Args    []string          `json:"args"`
	Env     []string          `json:"env"`
	Cwd     string            `json:"cwd"`
	UID     int               `json:"uid"`
	GID     int               `json:"gid"`
	Umask   string            `json:"umask"`
	OOM     string            `json:"oom_score_adj"`
	Cgroup  []string          `json:"proc_self_cgroup"`
	Limits  map[string]string `json:"cgroup_limits"`
	Sandbox []string          `json:"sandbox"`
	FDs     []string          `json:"fds"`
}

// Steered runs this process as an executor and never returns, if that is what
// it was started for; otherwise it does nothing. A test's TestMain calls it
// first.
func Steered() {
	if len(os.Args) != 2 {
		return
	}
	at, err := url.Parse(os.Args[1])
	if err != nil || at.Scheme != "http" || !strings.HasPrefix(at.Path, controlPath) {
		return
	}
	if err := obey(at.Host); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// obey connects to the player and does what it says until it goes.
func obey(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot reach the player: %w", err)
	}
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\n\r\n", controlPath, address); err != nil {
		return fmt.Errorf("cannot reach the player: %w", err)
	}
	fmt.Println("example executor started")
	e := &steered{out: json.NewEncoder(conn), cancels: map[int]context.CancelFunc{}}
	e.tell(said{Look: see()})
	in := json.NewDecoder(conn)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return nil // the player has gone: there is nothing left to do
		}
		e.do(o)
	}
}

type steered struct {
	mu      sync.Mutex
	out     *json.Encoder
	cancels map[int]context.CancelFunc
}

func (e *steered) tell(s said) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.out.Encode(s) // a player that has gone hears nothing
}

func (e *steered) do(o order) {
	switch o.Do {
	case doSend:
		ctx, cancel := context.WithCancel(context.Background())
		e.cancels[o.ID] = cancel
		go e.relay(ctx, o)
	case doClose:
		if cancel := e.cancels[o.ID]; cancel != nil {
			cancel()
		}
	case doExit:
		os.Exit(o.Status)
	case doKill:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case doEat:
		eat()
	case doLook:
		e.tell(said{Look: see()})
	}
}

// relay makes a request and hands on what comes.
func (e *steered) relay(ctx context.Context, o order) {
	conn, err := send(ctx, o.Network, o.Address, o.Request)
	if err != nil {
		e.tell(said{ID: o.ID, End: err.Error()})
		return
	}
	defer conn.Close()
	buffer := make([]byte, 1<<14)
	for {
		n, err := conn.Read(buffer)
		if n > 0 {
			e.tell(said{ID: o.ID, Data: buffer[:n]})
		}
		if err != nil {
			e.tell(said{ID: o.ID, End: err.Error()})
			return
		}
	}
}

// eat takes memory until the kernel minds.
func eat() {
	var held [][]byte
	for {
		held = append(held, bytes.Repeat([]byte{1}, 1<<20))
		_ = held
	}
}

// limitFiles are the files of a container's cgroups, by their controllers.
var limitFiles = map[string][]string{
	"cpu":    {"cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"},
	"memory": {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness"},
	"pids":   {"pids.max"},
}

// see looks around.
func see() *look {
	cwd, _ := os.Getwd()
	mask := syscall.Umask(0)
	syscall.Umask(mask)
	l := &look{
		Args: os.Args, Env: os.Environ(), Cwd: cwd, UID: os.Getuid(), GID: os.Getgid(),
		Umask: fmt.Sprintf("%04o", mask), OOM: content("/proc/self/oom_score_adj"), Limits: map[string]string{},
	}
	slices.Sort(l.Env)
	l.Cgroup = strings.Split(content("/proc/self/cgroup"), "\n")
	for _, line := range l.Cgroup {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) != 3 {
			continue
		}
		for _, controller := range strings.Split(fields[1], ",") {
			for _, file := range limitFiles[controller] {
				if text := content(filepath.Join("/sys/fs/cgroup", controller, fields[2], file)); text != "" {
					l.Limits[file] = text
				}
			}
		}
	}
	listing, _ := exec.Command("find", ".", "-printf", `%M %u:%g %s %p -> %l\n`).Output()
	l.Sandbox = strings.Split(strings.TrimSpace(string(listing)), "\n")
	slices.SortFunc(l.Sandbox, func(a, b string) int { return strings.Compare(lastField(a), lastField(b)) })
	for _, fd := range []string{"0", "1", "2"} {
		to, _ := os.Readlink("/proc/self/fd/" + fd)
		l.FDs = append(l.FDs, fd+" -> "+to)
	}
	return l
}

// lastField is the name in a line of the listing.
func lastField(line string) string {
	fields := strings.Fields(line)
	return fields[min(3, len(fields)-1)]
}

func content(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// controlPath is where executors connect, at the file server of a scenario.
const controlPath = "/ctl/"
