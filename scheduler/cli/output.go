package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	yaml "go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// output is the -o flag.
type output string

const (
	asText output = "text"
	asJSON output = "json"
	asYAML output = "yaml"
)

// String, Set and Type make output a flag's value.
func (o *output) String() string { return string(*o) }

// Set takes text, json or yaml.
func (o *output) Set(s string) error {
	if !slices.Contains([]output{asText, asJSON, asYAML}, output(s)) {
		return fmt.Errorf("%q is not text, json or yaml", s)
	}
	*o = output(s)
	return nil
}

// Type names what the flag takes, for the help.
func (o *output) Type() string { return "text|json|yaml" }

func (o *output) flag(cmd *cobra.Command) {
	*o = asText
	cmd.Flags().VarP(o, "output", "o", "how to print")
}

// print prints a message with the JSON names of its fields.
func (o output) print(w io.Writer, m proto.Message) error {
	text, err := jsonOf(m)
	if err != nil {
		return err
	}
	return o.printValue(w, text)
}

// jsonOf returns a message in JSON, with every field.
func jsonOf(m proto.Message) (json.RawMessage, error) {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("cannot print as JSON: %w", err)
	}
	return text, nil
}

// printValue prints what encoding/json can, as JSON or as the same in YAML.
func (o output) printValue(w io.Writer, v any) error {
	if o == asYAML {
		return printYAML(w, v)
	}
	// protojson varies its spaces from build to build on purpose; encoding/json
	// makes them the same again.
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("cannot print as JSON: %w", err)
	}
	return nil
}

// printYAML prints what encoding/json can, in the same order. JSON is YAML: it
// is read as that and written in its other style.
func printYAML(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot print as YAML: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("cannot print as YAML: %w", err)
	}
	plain(&doc)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return fmt.Errorf("cannot print as YAML: %w", err)
	}
	return enc.Close()
}

// plain takes the style of JSON off a document. Strings that would be read as
// something else keep their quotes, which the encoder sees to.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

// table is text in columns.
type table struct {
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the table, its columns two spaces apart and its lines cut to the
// width; 0 cuts nothing. A column that is empty below its title is left out.
func (t *table) write(w io.Writer, width int) {
	for _, line := range t.lines(width) {
		fmt.Fprintln(w, line)
	}
}

func (t *table) lines(width int) []string {
	if len(t.rows) == 0 {
		return nil
	}
	widths := make([]int, len(t.rows[0]))
	for i, row := range t.rows {
		for c, cell := range row {
			if i > 0 && cell != "" {
				widths[c] = max(widths[c], utf8.RuneCountInString(cell), utf8.RuneCountInString(t.rows[0][c]))
			}
		}
	}
	lines := make([]string, len(t.rows))
	for i, row := range t.rows {
		var b strings.Builder
		for c, cell := range row {
			if widths[c] > 0 {
				fmt.Fprintf(&b, "%-*s  ", widths[c], cell)
			}
		}
		lines[i] = cut(strings.TrimRight(b.String(), " "), width)
	}
	return lines
}

// cut shortens a line to the width.
func cut(line string, width int) string {
	if r := []rune(line); width > 0 && len(r) > width {
		return string(r[:max(0, width-1)]) + "…"
	}
	return line
}
