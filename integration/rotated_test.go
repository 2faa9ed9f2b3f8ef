package integration

import (
	"fmt"
	"strings"
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
