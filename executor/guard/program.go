package guard

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/tandem-mesos/tandem/executor/kin"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// Run is all that a program does which was started to be a guard, and returns its exit
// status.
func Run() (status int) {
	if err := Main(os.Args[1:], os.Stdin, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", Name, err)
		return 1
	}
	return 0
}

// Main is the program of a guard, which is told its orders by in. It returns when the
// executor is no more, and nothing is left of it.
func Main(args []string, in io.Reader, log io.Writer) error {
	switch {
	case len(args) == 2 && args[0] == ofSessions:
	case len(args) >= 2 && args[0] == ofCgroup:
		left, err := cgroup.ClearAfter(args[1:]...)
		if err != nil {
			return fmt.Errorf("cannot end what a dead executor has left: %w", err)
		}
		tell(log, left)
		return nil
	default:
		return fmt.Errorf("%s is started by tandem-executor, and not by hand", Name)
	}
	sessions, err := listen(in)
	if err != nil {
		return fmt.Errorf("cannot follow the executor: %w", err)
	}
	tell(log, end(sessions, args[1]))
	return nil
}

// tell says what somebody who looks for a task's end would miss.
func tell(log io.Writer, ended int) {
	if ended > 0 {
		fmt.Fprintf(log, "%s: The executor has ended without its tasks; ended %d of their processes.\n", Name, ended)
	}
}

// listen follows what an executor says, and returns the sessions that there are at its
// end.
func listen(in io.Reader) (map[int]bool, error) {
	sessions := make(map[int]bool)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			continue
		}
		leader, err := strconv.Atoi(line[1:])
		switch {
		case err != nil || leader <= 1:
			return nil, fmt.Errorf("what does %q mean?", line)
		case line[0] == '+':
			sessions[leader] = true
		default:
			delete(sessions, leader)
		}
	}
	return sessions, lines.Err()
}

// end ends all that belongs to the sessions or has the mark, and says how many
// processes that were. It looks again until a look finds nobody.
func end(sessions map[int]bool, mark string) int {
	// Most are gone after the first few. On a machine where little gets its turn it takes
	// longer, and what the kernel holds up may never go.
	const quick, slow = 100, 60
	ended, own := make(map[int]bool), os.Getpid()
	for look := range quick + slow {
		table := kin.Table()
		var roots []int
		sure := true
		for _, p := range table {
			// Those of session 0 are the kernel's, or outside of the pid namespace.
			if p.Pid == own || p.Zombie || p.Session == 0 {
				continue
			}
			marked, unsure := kin.Marked(p.Pid, mark)
			if marked || sessions[p.Session] {
				roots = append(roots, p.Pid)
			}
			sure = sure && !unsure
		}
		members := kin.Members(table, roots...)
		for _, pid := range members {
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				ended[pid] = true
			}
		}
		if len(members) == 0 && sure {
			break
		}
		// What processes take to die, and others to become another program.
		pause := 5 * time.Millisecond
		if look >= quick {
			pause = time.Second
		}
		time.Sleep(pause)
	}
	return len(ended)
}
