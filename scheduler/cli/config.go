package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/pflag"
	yaml "go.yaml.in/yaml/v4"
)

// fromFile sets the flags that were given neither on the command line nor by
// the environment from a config file: a YAML mapping whose keys are the flags'
// names. A list stands for a flag that may be given several times.
func fromFile(flags *pflag.FlagSet, name string) error {
	f, err := openFile(name)
	if err != nil {
		return err
	}
	defer f.Close()
	loader, err := yaml.NewLoader(f)
	if err != nil {
		return failed(exitUsage, "cannot read %s: %s", name, err)
	}
	var doc yaml.Node
	if err := loader.Load(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		var fault *yaml.LoadError
		if errors.As(err, &fault) {
			return atPlace(name, fault.Mark.Line, fault.Mark.Column, "not YAML: "+fault.Message)
		}
		return failed(exitUsage, "cannot read %s: %s", name, err)
	}
	root := &doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	if root.Kind != yaml.MappingNode {
		return atPlace(name, root.Line, root.Column, "a mapping of flags' names to values is asked for, such as master: 10.0.0.1:5050")
	}
	wrong := &failure{status: exitUsage, places: true}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if reason := fromKey(flags, key.Value, value); reason != "" {
			wrong.lines = append(wrong.lines, fmt.Sprintf("%s:%d:%d: %s: %s", name, key.Line, key.Column, key.Value, reason))
		}
	}
	if len(wrong.lines) > 0 {
		return wrong
	}
	return nil
}

func atPlace(name string, line, column int, reason string) error {
	return &failure{status: exitUsage, places: true, lines: []string{fmt.Sprintf("%s:%d:%d: %s", name, line, column, reason)}}
}

// fromKey sets one flag, and returns why it cannot.
func fromKey(flags *pflag.FlagSet, key string, value *yaml.Node) string {
	f := flags.Lookup(key)
	if f == nil || key == "config" || key == "help" {
		reason := "unknown key"
		best, distance := "", 4
		flags.VisitAll(func(f *pflag.Flag) {
			if d := levenshtein.ComputeDistance(key, f.Name); d < distance && f.Name != "config" {
				best, distance = f.Name, d
			}
		})
		if best != "" {
			reason += fmt.Sprintf("; did you mean %q?", best)
		}
		return reason
	}
	if f.Changed {
		return ""
	}
	var text string
	switch value.Kind {
	case yaml.ScalarNode:
		text = value.Value
	case yaml.SequenceNode:
		var items []string
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode {
				return "a list of plain values is asked for"
			}
			items = append(items, item.Value)
		}
		text = strings.Join(items, ",")
	default:
		return "a plain value is asked for"
	}
	if err := flags.Set(key, text); err != nil {
		return causeOf(err).Error()
	}
	return ""
}
