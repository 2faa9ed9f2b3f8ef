package cli

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// without are verbs that lack something, and why.
var without = map[string]map[string]string{
	"output": {
		"exec": "it passes on what the command writes", "logs": "it passes on what tasks have written",
		"init": "it writes a job file", "convert": "it writes job files", "token": "it prints a token alone",
		"local": "it runs until it is ended", "scheduler": "it runs until it is ended",
		"context use": "it is done, and says so", "context set": "it is done, and says so", "context remove": "it is done, and says so",
		"state export": "it writes JSON", "state import": "it is done, and says so", "state verify": "it lists what is wrong",
		"completion": "it writes a script",
	},
	"refusal": {
		"exec": "its transcripts end with the command's own status, too",
	},
	"success": {
		"local": "the tests in integration run it", "scheduler": "the tests in integration run it",
		"token": "what is right is random: TestTokensAreMade",
		"init":  "it writes a file: TestInit",
	},
}

// TestEveryVerb is the table of what each verb has: an example in its help, a
// transcript in which it does what it should, one in which it is refused, what it
// prints in JSON and in YAML, and completion of its arguments.
func TestEveryVerb(t *testing.T) {
	calls := transcribed(t)
	root := newRoot(&System{Stdout: os.Stdout, Stderr: os.Stderr})
	seen := map[string]bool{}
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		for _, below := range cmd.Commands() {
			look(below)
		}
		verb := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "tandem"), " ")
		if verb == "" || verb == "help" || strings.HasPrefix(verb, "completion") || cmd.HasSubCommands() {
			return
		}
		seen[verb] = true
		printing := cmd.Flags().Lookup("output") != nil
		has := map[string]bool{
			"example": strings.Contains(cmd.Example, "tandem "+verb),
			"success": slices.ContainsFunc(calls[verb], func(c call) bool { return c.status == 0 }),
			"refusal": slices.ContainsFunc(calls[verb], func(c call) bool { return c.status != 0 }),
			"output":  printing,
			"json":    !printing || slices.ContainsFunc(calls[verb], func(c call) bool { return strings.Contains(c.args, "-o json") }),
			"yaml":    !printing || slices.ContainsFunc(calls[verb], func(c call) bool { return strings.Contains(c.args, "-o yaml") }),
			"completion": cmd.ValidArgsFunction != nil || len(argumentsOf(cmd)) == 0 ||
				slices.ContainsFunc(argumentsOf(cmd), func(w string) bool { return strings.HasPrefix(w, "FILE") }),
		}
		for _, what := range slices.Sorted(maps.Keys(has)) {
			reason := without[what][verb]
			switch {
			case !has[what] && reason == "":
				t.Errorf("tandem %s has no %s", verb, what)
			case has[what] && reason != "" && what == "output":
				t.Errorf("tandem %s has an output, and is to have none: %s", verb, reason)
			}
		}
	}
	look(root)
	for what, verbs := range without {
		for verb := range verbs {
			if !seen[verb] && verb != "completion" {
				t.Errorf("%s lacks no %s: there is no such verb", verb, what)
			}
		}
	}
}

// call is one line of a transcript.
type call struct {
	args   string
	status int
}

// transcribed returns the calls in the transcripts, by verb.
func transcribed(t *testing.T) map[string][]call {
	t.Helper()
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	calls := map[string][]call{}
	verb := ""
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			line = strings.TrimSpace(line)
			if args, ok := strings.CutPrefix(line, "$ tandem "); ok {
				verb = verbOf(args)
				calls[verb] = append(calls[verb], call{args: args})
			} else if strings.HasPrefix(line, "exit ") && len(calls[verb]) > 0 {
				calls[verb][len(calls[verb])-1].status = 1
			}
		}
	}
	return calls
}

// verbOf is the verb of a call, with the one below it if there is one.
func verbOf(args string) string {
	words := strings.Fields(args)
	cmd, _, err := newRoot(&System{}).Find(words)
	if err != nil {
		return words[0]
	}
	return strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "tandem"), " ")
}
