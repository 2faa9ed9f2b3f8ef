package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// TestLogsAreFollowedAcrossRotation has a workload write more than its live file
// holds, many times over, while its log is followed: each line comes once.
func TestLogsAreFollowedAcrossRotation(t *testing.T) {
	const lines = 20000
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(`
id: /counter
type: batch
workloads:
- name: main
  cmd: "i=0; while [ $i -lt ` + fmt.Sprint(lines) + ` ]; do i=$((i+1)); echo line $i; [ $((i % 500)) = 0 ] && sleep 0.05; done; true"
  logs: {maxFiles: 100, maxFileSize: 16Ki}
`)
	followed := s.tandem("logs", "-f", "/counter").stdout
	i := 0
	for line := range strings.Lines(followed) {
		i++
		if want := fmt.Sprintf("line %d\n", i); !strings.HasSuffix(line, want) {
			t.Fatalf("%q came where %q was written", line, want)
		}
	}
	if i != lines {
		t.Errorf("%d lines came, and %d were written", i, lines)
	}
	if last := s.tandem("logs", "-n", "3", "counter.0.1.main").stdout; last != fmt.Sprintf("line %d\nline %d\nline %d\n", lines-2, lines-1, lines) {
		t.Errorf("the last lines are %q", last)
	}
	if all := s.tandem("logs", "counter.0.1.main").stdout; strings.Count(all, "\n") != lines {
		t.Errorf("%d lines are kept", strings.Count(all, "\n"))
	}
	if live := s.tandem("ls", "counter.0.1.main").stdout; !strings.Contains(live, "stdout.5") {
		t.Errorf("it was not rotated: %s", live)
	}
}

// TestLogsAreFollowedThroughARestart kills the scheduler twice while a log that is
// rotated is followed: the command line goes on by itself, and each line comes once.
func TestLogsAreFollowedThroughARestart(t *testing.T) {
	const lines = 8000
	c := startMesos(t)
	s := startScheduler(t, c, "--listen", freeAddress(t))
	s.run(`
id: /counter
type: batch
workloads:
- name: main
  cmd: "i=0; while [ $i -lt ` + fmt.Sprint(lines) + ` ]; do i=$((i+1)); echo line $i; [ $((i % 100)) = 0 ] && sleep 0.05; done; true"
  logs: {maxFiles: 100, maxFileSize: 16Ki}
`)
	follow := s.command("logs", "-f", "/counter")
	shown, notes := &output{}, &output{}
	follow.Stdout, follow.Stderr = shown, notes
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	for _, from := range []int{500, 2500} {
		eventually(t, func() string {
			if n := strings.Count(shown.String(), "\n"); n < from {
				return fmt.Sprintf("%d lines were shown", n)
			}
			return ""
		})
		s.stop(syscall.SIGKILL)
		s.start()
	}
	if err := follow.Wait(); err != nil {
		t.Fatalf("following ended with %v:\n%s", err, notes)
	}
	i := 0
	for line := range strings.Lines(shown.String()) {
		i++
		if want := fmt.Sprintf("counter.0.1.main  line %d\n", i); line != want {
			t.Fatalf("%q came where %q was written", line, want)
		}
	}
	if i != lines {
		t.Errorf("%d lines came, and %d were written", i, lines)
	}
	if !strings.Contains(notes.String(), "trying again for a minute") {
		t.Errorf("it says:\n%s", notes)
	}
}
