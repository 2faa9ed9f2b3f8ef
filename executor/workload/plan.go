package workload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// plan tells a shim what to become. It goes through a socket and not through
// the shim's arguments or environment, which others could read. The strings of
// the workload are bytes here because JSON would not keep what is not UTF-8.
type plan struct {
	Path        []byte
	Args        [][]byte
	Env         [][]byte
	Dir         []byte
	Umask       int
	Rlimits     []rlimit
	OOMScoreAdj *int
	User        *Numbers
	NoNewPrivs  bool
	// Parent, when it is not 0, is the executor that the workload must not
	// outlive: nobody else could find a workload without a cgroup.
	Parent int
}

type rlimit struct {
	Resource   int
	Name       string
	Soft, Hard uint64
}

// rlimits maps the OCI names to the kernel's numbers.
var rlimits = map[string]int{
	"RLIMIT_AS":         unix.RLIMIT_AS,
	"RLIMIT_CORE":       unix.RLIMIT_CORE,
	"RLIMIT_CPU":        unix.RLIMIT_CPU,
	"RLIMIT_DATA":       unix.RLIMIT_DATA,
	"RLIMIT_FSIZE":      unix.RLIMIT_FSIZE,
	"RLIMIT_LOCKS":      unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK":    unix.RLIMIT_MEMLOCK,
	"RLIMIT_MSGQUEUE":   unix.RLIMIT_MSGQUEUE,
	"RLIMIT_NICE":       unix.RLIMIT_NICE,
	"RLIMIT_NOFILE":     unix.RLIMIT_NOFILE,
	"RLIMIT_NPROC":      unix.RLIMIT_NPROC,
	"RLIMIT_RSS":        unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO":     unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME":     unix.RLIMIT_RTTIME,
	"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_STACK":      unix.RLIMIT_STACK,
}

func planOf(s *Spec, user *Numbers) plan {
	path, args := s.program()
	p := plan{
		Path:        []byte(path),
		Args:        octets(args),
		Env:         octets(s.Env),
		Dir:         []byte(s.Dir),
		Umask:       0o022,
		OOMScoreAdj: s.OOMScoreAdj,
		User:        user,
		NoNewPrivs:  s.NoNewPrivileges,
	}
	if s.Umask != nil {
		p.Umask = *s.Umask
	}
	for _, r := range s.Rlimits {
		p.Rlimits = append(p.Rlimits, rlimit{Resource: rlimits[r.Type], Name: r.Type, Soft: r.Soft, Hard: r.Hard})
	}
	return p
}

func (p plan) encode() ([]byte, error) { return json.Marshal(p) }

func decodePlan(data []byte) (plan, error) {
	var p plan
	if err := json.Unmarshal(data, &p); err != nil {
		return plan{}, fmt.Errorf("cannot read what to run: %w", err)
	}
	return p, nil
}

func octets(all []string) [][]byte {
	out := make([][]byte, len(all))
	for i, s := range all {
		out[i] = []byte(s)
	}
	return out
}

func texts(all [][]byte) []string {
	out := make([]string, len(all))
	for i, b := range all {
		out[i] = string(b)
	}
	return out
}

// The shim speaks on the same socket. It says up when it has come up and
// waits to be told what to become, and ready as its last word before it
// executes the program, whose execution closes the socket. failed, with a
// message behind it, can come at any time after up.
const (
	up     = 'U'
	ready  = 'R'
	failed = 'E'
)

// verdict reads all that a shim has said; nil means that the program runs.
func verdict(said []byte) error {
	if i := bytes.IndexByte(said, failed); i >= 0 {
		return errors.New(string(said[i+1:]))
	}
	if !bytes.Equal(said, []byte{up, ready}) {
		return errors.New("the process that was to become it ended early")
	}
	return nil
}
