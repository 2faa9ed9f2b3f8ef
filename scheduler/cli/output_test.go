package cli

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTablesFitTheTerminal(t *testing.T) {
	table := &table{}
	table.add("JOB", "NOTE", "PHASE", "WHY")
	table.add("/words", "", "FAILED", "count failed: Command exited with status 7")
	table.add("/api", "", "RUNNING", "")
	for _, tt := range []struct {
		name  string
		width int
		want  string
	}{
		{"no terminal", 0, `
JOB     PHASE    WHY
/words  FAILED   count failed: Command exited with status 7
/api    RUNNING
`},
		{"wide enough", 59, `
JOB     PHASE    WHY
/words  FAILED   count failed: Command exited with status 7
/api    RUNNING
`},
		{"narrow", 42, `
JOB     PHASE    WHY
/words  FAILED   count failed: Command
                 exited with status 7
/api    RUNNING
`},
		{"too narrow to be worth it", 40, `
JOB     PHASE    WHY
/words  FAILED   count failed: Command exited with status 7
/api    RUNNING
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			table.write(&System{Stdout: &b, TerminalSize: func() (int, int, bool) { return tt.width, 24, tt.width > 0 }})
			if diff := cmp.Diff(tt.want, "\n"+b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWrapping(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 5, []string{""}},
		{"one two", 7, []string{"one two"}},
		{"one two", 6, []string{"one", "two"}},
		{"one   two", 4, []string{"one", "two"}},
		{"unbreakable", 4, []string{"unbr", "eaka", "ble"}},
		{"größer als", 6, []string{"größer", "als"}},
	} {
		if diff := cmp.Diff(tt.want, wrap(tt.text, tt.width)); diff != "" {
			t.Errorf("%q in %d: %s", tt.text, tt.width, diff)
		}
	}
}
