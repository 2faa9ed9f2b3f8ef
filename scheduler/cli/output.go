package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rivo/uniseg"
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
	// It fails for a flag that is not there only.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]cobra.Completion{string(asText), string(asJSON), string(asYAML)}, cobra.ShellCompDirectiveNoFileComp))
}

// print prints a message with the JSON names of its fields.
func (o output) print(w io.Writer, m proto.Message) error {
	text, err := jsonOf(m)
	if err != nil {
		return err
	}
	return o.printValue(w, text)
}

// printLine prints a message of a stream: in JSON on one line, in YAML as a
// document.
func (o output) printLine(w io.Writer, m proto.Message) error {
	text, err := jsonOf(m)
	if err != nil {
		return err
	}
	if o == asYAML {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return fmt.Errorf("cannot print: %w", err)
		}
		return printYAML(w, text)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, text); err != nil {
		return fmt.Errorf("cannot print as JSON: %w", err)
	}
	line.WriteByte('\n')
	if _, err := line.WriteTo(w); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	return nil
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

// plain takes the style of JSON off a document, but for lists in lists, such as
// the tuples of constraints, which stay on one line. Strings that would be read
// as something else keep their quotes, which the encoder sees to.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
		if n.Kind == yaml.SequenceNode && c.Kind == yaml.SequenceNode {
			c.Style = yaml.FlowStyle
		}
	}
}

// table is text in columns.
type table struct {
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the table to the standard output, its columns two spaces apart. On
// a terminal that is too narrow for it the last column goes on in further lines;
// where there is no room for that, each row is a block of lines, one for each cell.
// A column that is empty below its title is left out.
func (t *table) write(sys *System) {
	width := 0
	if w, _, ok := sys.TerminalSize(); ok {
		width = w
	}
	for _, line := range t.wrapped(width) {
		fmt.Fprintln(sys.Stdout, line)
	}
}

// widths returns how wide each column is, 0 for one that is left out.
func (t *table) widths() []int {
	widths := make([]int, len(t.rows[0]))
	for i, row := range t.rows {
		for c, cell := range row {
			if i > 0 && cell != "" {
				widths[c] = max(widths[c], uniseg.StringWidth(cell), uniseg.StringWidth(t.rows[0][c]))
			}
		}
	}
	return widths
}

// lines returns the table's lines, each cut to the width; 0 cuts nothing.
func (t *table) lines(width int) []string {
	if len(t.rows) == 0 {
		return nil
	}
	widths := t.widths()
	lines := make([]string, len(t.rows))
	for i, row := range t.rows {
		lines[i] = cut(join(row, widths), width)
	}
	return lines
}

func join(row []string, widths []int) string {
	var b strings.Builder
	for c, cell := range row {
		if widths[c] > 0 {
			b.WriteString(padded(cell, widths[c]+2))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// padded fills a cell up to a width with spaces.
func padded(cell string, width int) string {
	return cell + strings.Repeat(" ", max(0, width-uniseg.StringWidth(cell)))
}

// leastText is the least width that is worth wrapping text in.
const leastText = 24

// wrapped returns the table's lines with the last column's text wrapped, where
// the table is wider than the width and there is room to do so.
func (t *table) wrapped(width int) []string {
	if len(t.rows) == 0 {
		return nil
	}
	widths := t.widths()
	last, from := -1, 0
	for c, w := range widths {
		if w > 0 {
			if last >= 0 {
				from += widths[last] + 2
			}
			last = c
		}
	}
	switch {
	case width == 0 || last < 0 || from+widths[last] <= width:
		return t.lines(0)
	case width-from < leastText:
		return t.blocks(width, widths)
	}
	var lines []string
	for _, row := range t.rows {
		text := wrap(row[last], width-from)
		first := slices.Clone(row)
		first[last] = text[0]
		lines = append(lines, join(first, widths))
		for _, more := range text[1:] {
			lines = append(lines, strings.Repeat(" ", from)+more)
		}
	}
	return lines
}

// blocks returns the table's rows one below the other, each cell behind its column's
// title and wrapped to the width. Empty cells are left out.
func (t *table) blocks(width int, widths []int) []string {
	titles := 0
	for c, title := range t.rows[0] {
		if widths[c] > 0 {
			titles = max(titles, uniseg.StringWidth(title)+2)
		}
	}
	var lines []string
	for _, row := range t.rows[1:] {
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		for c, cell := range row {
			if cell == "" {
				continue
			}
			text := wrap(cell, max(1, width-titles))
			lines = append(lines, padded(t.rows[0][c], titles)+text[0])
			for _, more := range text[1:] {
				lines = append(lines, strings.Repeat(" ", titles)+more)
			}
		}
	}
	return lines
}

// wrap breaks a text between words into lines of at most so many columns. A word
// that is longer stays whole, for it may be an ID that somebody copies. It returns
// one line at least.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case uniseg.StringWidth(line)+1+uniseg.StringWidth(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// cut shortens a line to the width.
func cut(line string, width int) string {
	if width <= 0 || uniseg.StringWidth(line) <= width {
		return line
	}
	var short strings.Builder
	used := 0
	for g := uniseg.NewGraphemes(line); g.Next() && used+g.Width() < width; used += g.Width() {
		short.WriteString(g.Str())
	}
	return short.String() + "…"
}
