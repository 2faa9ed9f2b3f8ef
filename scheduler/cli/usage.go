package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// wrongFlag says what is wrong with a flag without the words of Go's parsers.
func wrongFlag(cmd *cobra.Command, err error) string {
	see := "; see " + cmd.CommandPath() + " --help"
	var wrong *pflag.InvalidValueError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("--%s: %s", wrong.GetFlag().Name, wrongValue(wrong.GetFlag(), wrong.GetValue(), err)) + see
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err.Error() + see
	}
	switch shorts := unknown.GetSpecifiedShortnames(); {
	case shorts == "":
		return fmt.Sprintf("there is no flag --%s", unknown.GetSpecifiedName()) + cmp.Or(nearestFlag(cmd, unknown.GetSpecifiedName()), see)
	case strings.Trim(shorts, "0123456789") == "":
		return fmt.Sprintf("-%s is taken for a flag; there are no numbers below 0", shorts) + see
	}
	return fmt.Sprintf("there is no flag -%s", unknown.GetSpecifiedName()) + see
}

// nearestFlag tells the flag of a command that was probably meant by a name, or nothing.
func nearestFlag(cmd *cobra.Command, name string) string {
	flags := cmd.Flags()
	here := flagsElsewhere[name]
	if flag, _, _ := strings.Cut(here, " "); flags.Lookup(flag) != nil {
		return fmt.Sprintf("; here it is --%s", here)
	}
	n := nearest{word: name}
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			n.try(f.Name)
		}
	})
	if n.best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean --%s?", n.best)
}

// flagsElsewhere are what flags are called elsewhere, as nicknames are of verbs.
var flagsElsewhere = map[string]string{
	"format": "output", "json": "output json", "yaml": "output yaml",
	"tail": "lines", "selector": "label", "labels": "label",
	"server": "scheduler", "address": "scheduler", "token": "token-file", "ca-cert": "tls-ca",
}

// nearest finds the word that another was probably meant to be: one that differs in
// fewer than three letters, and in fewer than it has.
type nearest struct {
	word, best string
	distance   int
}

func (n *nearest) try(word string) {
	d := levenshtein.ComputeDistance(n.word, word)
	if d < min(3, len(n.word)) && (n.best == "" || d < n.distance) {
		n.best, n.distance = word, d
	}
}

// wrongValue says why a flag cannot have a value.
func wrongValue(f *pflag.Flag, value string, err error) string {
	wanted := map[string]string{
		"int": "a whole number", "int32": "a whole number", "int64": "a whole number",
		"uint": "a whole number from 0 on", "uint32": "a whole number from 0 on", "uint64": "a whole number from 0 on",
		"float64": "a number", "duration": "a time such as 90s or 10m", "bool": "true or false",
	}[f.Value.Type()]
	if wanted == "" {
		return causeOf(err).Error()
	}
	return fmt.Sprintf("%q is not %s", value, wanted)
}

// nicknames are what verbs are called elsewhere: by Marathon's, Nomad's, Aurora's
// and Kubernetes's command lines, among others.
func nicknames(root *cobra.Command) {
	elsewhere := map[string][]string{
		"run":       {"apply", "submit", "deploy", "create", "start", "up", "launch", "add"},
		"list":      {"jobs", "apps", "get", "pods"},
		"status":    {"ps", "show", "describe", "info", "tasks", "deployments", "deployment", "job", "queue"},
		"stop":      {"delete", "destroy", "rm", "remove", "down", "suspend"},
		"scale":     {"resize"},
		"restart":   {"rollout", "recycle"},
		"logs":      {"tail", "log"},
		"exec":      {"ssh", "attach", "shell", "sh", "debug"},
		"stats":     {"top", "usage"},
		"ls":        {"fs", "files", "sandbox"},
		"events":    {"watch", "monitor"},
		"agents":    {"nodes", "node", "slaves", "slave"},
		"drain":     {"cordon", "maintenance", "freeze"},
		"run-now":   {"dispatch", "trigger", "force"},
		"scheduler": {"server", "agent", "serve"},
		"local":     {"dev", "minimesos"},
		"context":   {"config", "login", "cluster"},
		"convert":   {"migrate", "import"},
		"validate":  {"lint", "check"},
		"volume":    {"volumes"},
		"framework": {"teardown"},
	}
	for _, cmd := range root.Commands() {
		cmd.SuggestFor = elsewhere[cmd.Name()]
	}
}

// refuseArgs words the refusal of a verb's arguments, and of the verbs below it.
func refuseArgs(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		refuseArgs(cmd)
		check := cmd.Args
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return failed(exitUsage, "usage: %s", cmd.UseLine())
			}
			return nil
		}
	}
}

func unknownCommand(root *cobra.Command, word string) error {
	n := nearest{word: word}
	for _, cmd := range root.Commands() {
		if slices.Contains(cmd.SuggestFor, word) {
			return failed(exitUsage, "there is no command %q; here it is %q", word, cmd.CommandPath())
		}
		if cmd.IsAvailableCommand() {
			n.try(cmd.Name())
		}
	}
	if n.best != "" {
		return failed(exitUsage, "there is no command %q; did you mean %q?", word, n.best)
	}
	return failed(exitUsage, "there is no command %q; see tandem --help", word)
}

// causeOf returns the innermost error of a chain, which for the errors of flags
// is the only part that says something new.
func causeOf(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
