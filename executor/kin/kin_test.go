package kin

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add("1234 (sh) S 1 1234 1230 0 -1 4194560")
	f.Add("1234 (a) b) (c) Z 1 1234 1230 0 -1 4194560")
	f.Add("1234 (sh")
	f.Fuzz(func(t *testing.T, line string) {
		p, ok := parse(line)
		if !ok && strings.HasPrefix(line, "1 (x) S 2 3 4 ") {
			t.Errorf("%q was not read: %+v", line, p)
		}
	})
}

func TestParse(t *testing.T) {
	for line, want := range map[string]Process{
		"1234 (sh) S 1 1234 1230 0 -1 4194560":      {1234, 1, 1230, false},
		"7 (a) b) (c) Z 3 7 5 0 -1 4194560":         {7, 3, 5, true},
		"9 (tmux: server) R 1 9 9 0 -1 4194560 1 2": {9, 1, 9, false},
	} {
		if got, ok := parse(line); !ok || got != want {
			t.Errorf("%q = %+v, %v; want %+v", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "1234", "1234 (sh) S 1", "x (sh) S 1 2 3", "1 (sh) S y 2 3"} {
		if got, ok := parse(line); ok {
			t.Errorf("%q was read as %+v", line, got)
		}
	}
}

func TestMarks(t *testing.T) {
	for env, want := range map[string]bool{
		"MARK=a": true, "MARK=a/b": true, "MARK=ab": false, "MARK=": false, "OTHER=MARK=a": false,
	} {
		cmd := exec.Command("sleep", "1000")
		cmd.Env = []string{"FIRST=1", env, "LAST=1"}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if got, unsure := Marked(cmd.Process.Pid, "MARK=a"); got != want || unsure {
			t.Errorf("%q: marked %v, unsure %v; want %v", env, got, unsure, want)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if marked, unsure := Marked(os.Getpid(), "MARK=a"); marked || unsure {
		t.Errorf("this process: marked %v, unsure %v", marked, unsure)
	}
}

func TestMembersOfASession(t *testing.T) {
	table := []Process{
		{1, 0, 1, false},
		{100, 1, 100, false},   // the executor
		{205, 204, 204, false}, // a grandchild that comes before its parent
		{200, 100, 200, true},  // the main process, which has ended
		{201, 200, 200, false}, // its child
		{202, 1, 200, false},   // its orphan
		{203, 201, 200, true},  // a zombie
		{204, 201, 204, false}, // a descendant in a session of its own
		{300, 100, 300, false}, // another workload
		{301, 300, 300, false},
	}
	if got, want := Members(table, 200), []int{205, 201, 202, 204}; !slices.Equal(got, want) {
		t.Errorf("members = %v, want %v", got, want)
	}
}
