package conform

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Scenario is one recording.
type Scenario struct {
	Name  string
	Flags string
	Note  string
	Lines []*Line
}

// Line is one line of a recording: a request, the answer to one, an event of a
// stream or its end, or a note of what the recorder did or saw.
type Line struct {
	Number int // in the file, from 1
	Millis float64
	Side   string // scheduler, executor, operator, or raw for bare connections
	Who    string
	Dir    string // request, response, event, note
	ID     int    // joins a request with what answers it
	Method string
	Path   string
	// Headers in the order of the wire.
	Headers []Header
	Status  int
	// Body is a JSON body, Text any other; hex: leads one that is binary.
	Body json.RawMessage
	Text *string
	Note string
	Info json.RawMessage
}

// Header is one header of a request or an answer.
type Header struct{ Name, Value string }

// At is the time from the scenario's beginning.
func (l *Line) At() time.Duration {
	return time.Duration(l.Millis * float64(time.Millisecond))
}

// Header returns the header of that name, whatever its case.
func (l *Line) Header(name string) (string, bool) {
	for _, h := range l.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value, true
		}
	}
	return "", false
}

// stream names the connection that the line belongs to.
func (l *Line) stream() string { return fmt.Sprintf("%s %s #%d", l.Side, l.Who, l.ID) }

func (l *Line) String() string {
	return fmt.Sprintf("line %d (%s, at %.1f ms)", l.Number, strings.TrimSpace(l.Side+" "+l.Who+" "+l.Dir), l.Millis)
}

// Scenarios lists the names of the recordings below a directory.
func Scenarios(files fs.FS) ([]string, error) {
	found, err := fs.Glob(files, "*/*.jsonl.gz")
	if err != nil {
		return nil, fmt.Errorf("cannot list scenarios: %w", err)
	}
	for i, f := range found {
		found[i] = strings.TrimSuffix(f, ".jsonl.gz")
	}
	slices.Sort(found)
	return found, nil
}

// Read reads a recording. Task data of 20 MB are written there as QUFB... and
// come whole. Every replacement, of a text by the one that follows
// it, is made in the whole of it first.
func Read(files fs.FS, name string, replace ...string) (*Scenario, error) {
	s, err := read(files, name, strings.NewReplacer(replace...))
	if err != nil {
		return nil, fmt.Errorf("cannot read scenario %s: %w", name, err)
	}
	return s, nil
}

func read(files fs.FS, name string, replacer *strings.Replacer) (*Scenario, error) {
	file, err := files.Open(path.Clean(name) + ".jsonl.gz")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(unzipped)
	if err != nil {
		return nil, err
	}
	replaced := strings.ReplaceAll(replacer.Replace(string(text)), `"QUFB..."`, `"`+strings.Repeat("QUFB", 20<<20/4)+`"`)
	s := &Scenario{Name: name}
	for i, line := range strings.Split(strings.TrimSuffix(replaced, "\n"), "\n") {
		if err := s.add(i+1, []byte(line)); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return s, nil
}

func (s *Scenario) add(number int, text []byte) error {
	if number == 1 {
		return json.Unmarshal(text, s)
	}
	var raw struct {
		Millis         float64 `json:"t_ms"`
		Side, Who, Dir string
		ID             int
		Method, Path   string
		Headers        json.RawMessage
		Status         int
		Body           json.RawMessage
		Text           *string `json:"body_text"`
		Note           string
		Info           json.RawMessage
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	l := &Line{
		Number: number, Millis: raw.Millis, Side: raw.Side, Who: raw.Who, Dir: raw.Dir, ID: raw.ID,
		Method: raw.Method, Path: raw.Path, Status: raw.Status,
		Body: raw.Body, Text: raw.Text, Note: raw.Note, Info: raw.Info,
	}
	var err error
	if l.Headers, err = readHeaders(raw.Headers); err != nil {
		return err
	}
	s.Lines = append(s.Lines, l)
	return nil
}

// readHeaders reads an object in its order.
func readHeaders(text json.RawMessage) ([]Header, error) {
	if text == nil {
		return nil, nil
	}
	var headers []Header
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value string
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		headers = append(headers, Header{name.(string), value})
	}
	return headers, nil
}
