package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"
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
		{"too narrow for columns", 40, `
JOB    /words
PHASE  FAILED
WHY    count failed: Command exited with
       status 7

JOB    /api
PHASE  RUNNING
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
		{"not unbreakable", 4, []string{"not", "unbreakable"}},
		{"数据 库 名", 5, []string{"数据", "库 名"}},
		{"größer als", 6, []string{"größer", "als"}},
	} {
		if diff := cmp.Diff(tt.want, wrap(tt.text, tt.width)); diff != "" {
			t.Errorf("%q in %d: %s", tt.text, tt.width, diff)
		}
	}
}

// TestTablesOfLongAndWideNames: what takes two columns a character is counted so,
// and nothing but a word that is too long by itself is wider than the terminal.
func TestTablesOfLongAndWideNames(t *testing.T) {
	long := "/" + strings.Repeat("very-long-name/", 4) + "end"
	for _, width := range []int{40, 80, 200} {
		table := &table{}
		table.add("JOB", "AGENT", "STATE", "WHY")
		table.add("/データベース", "agent1", "RUNNING", "")
		table.add("/café", "agent2", "FAILED", "磁盘 已满: 👩‍🚀 "+strings.Repeat("没有 足够 的 空间 ", 12))
		table.add("/x", "agent3", "FAILED", "it names "+long)
		var b bytes.Buffer
		table.write(&System{Stdout: &b, TerminalSize: func() (int, int, bool) { return width, 24, true }})
		column := -1
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if uniseg.StringWidth(line) > width && !strings.Contains(line, long) {
				t.Errorf("in %d columns a line takes %d: %q", width, uniseg.StringWidth(line), line)
			}
			if before, _, ok := strings.Cut(line, "agent"); ok && width > 40 {
				if at := uniseg.StringWidth(before); column >= 0 && at != column {
					t.Errorf("in %d columns the agents stand in columns %d and %d", width, column, at)
				} else {
					column = at
				}
			}
		}
	}
}

func TestLinesAreCutBetweenCharacters(t *testing.T) {
	for _, tt := range []struct {
		line  string
		width int
		want  string
	}{
		{"plain", 0, "plain"}, {"plain", 5, "plain"}, {"plain", 4, "pla…"}, {"数据库", 6, "数据库"}, {"数据库", 5, "数据…"}, {"数据库", 4, "数…"},
		{"é́é", 1, "…"},
	} {
		if got := cut(tt.line, tt.width); got != tt.want {
			t.Errorf("%q in %d columns is %q, want %q", tt.line, tt.width, got, tt.want)
		}
	}
}
