package jobspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/reflect/protoreflect"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// MaxSize is the largest job file in bytes. A job of 64 workloads with long
// commands needs a tenth of it.
const MaxSize = 1 << 20

// Parse reads a job file. The name is only used in problems. The job has every
// default written out and is valid, except that the URI of a Fetch may still be
// a relative path: LocalFiles finds these.
//
// The error, if any, is of type Problems and holds everything that is wrong.
func Parse(name string, src []byte) (*tandemv1.Job, error) {
	d := &decoder{places: map[string]place{}, listed: map[protoreflect.FullName]bool{}}
	job := &tandemv1.Job{}
	if root := d.document(src); root != nil {
		d.message(root, job.ProtoReflect(), "")
		// Rules are judged even where something could not be decoded, so that
		// all mistakes come at once; what follows from one that has been
		// reported already is left out below.
		Default(job)
		d.judge(validate(job, true))
	}
	if len(d.problems) == 0 {
		return job, nil
	}
	for i := range d.problems {
		d.problems[i].File = name
	}
	return nil, d.problems.sorted()
}

// LocalFiles returns the fetches of a parsed job whose URI is a relative path:
// a file beside the job file, which whoever submits the job must put where
// agents can reach it. Validate refuses them.
func LocalFiles(job *tandemv1.Job) []*tandemv1.Fetch {
	var local []*tandemv1.Fetch
	for _, w := range job.GetWorkloads() {
		for _, f := range w.GetFetch() {
			if isRelative(f.GetUri()) {
				local = append(local, f)
			}
		}
	}
	return local
}

// judge adds what validation found, each with its place in the file.
func (d *decoder) judge(found []Problem) {
	decoding := d.problems
	for _, p := range found {
		if reported(decoding, p.Field) {
			continue
		}
		at := d.placeOf(p.Field)
		p.Line, p.Column = at.line, at.column
		d.problems = append(d.problems, p)
	}
}

// reported says whether decoding has found something wrong with the field or
// with what it is part of or made of: then a rule that fails says nothing new.
func reported(decoding Problems, field string) bool {
	for _, p := range decoding {
		if p.Field == "" || within(field, p.Field) || within(p.Field, field) {
			return true
		}
	}
	return false
}

// within says whether the field is, or is part of, the other.
func within(field, other string) bool {
	rest, ok := strings.CutPrefix(field, other)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// placeOf returns where the field, or the nearest thing that holds it, stands.
func (d *decoder) placeOf(field string) place {
	for {
		if at, ok := d.places[field]; ok {
			return at
		}
		if field == "" {
			return place{}
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
}

// document returns the one mapping that the source holds, or nil after saying
// what it holds instead.
func (d *decoder) document(src []byte) *yaml.Node {
	if len(src) > MaxSize {
		d.refuse(place{}, "", fmt.Sprintf("the file has %d bytes; a job file may have %d", len(src), MaxSize))
		return nil
	}
	if at, reason := badText(src); reason != "" {
		d.refuse(at, "", reason)
		return nil
	}
	if json.Valid(src) {
		src = surrogatePair.ReplaceAllFunc(src, joinSurrogates)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src))
	if err != nil {
		d.refuse(place{}, "", err.Error())
		return nil
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		d.refuse(place{}, "", "the file is empty; a job needs at least an id and one workload")
		return nil
	case err != nil:
		d.syntax(src, err)
		return nil
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(src, err)
		return nil
	default:
		d.refuse(placeAt(&second), "", "a second document starts here; a file holds one job")
		return nil
	}
	root := &doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	if root.Kind != yaml.MappingNode {
		d.refuse(placeAt(root), "", fmt.Sprintf("the file holds %s; a job is a mapping of keys such as id, type and workloads", kindOf(root)))
		return nil
	}
	return root
}

// badText finds what no job file holds: bytes that are not UTF-8 and control
// characters.
func badText(src []byte) (place, string) {
	at := place{1, 1}
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return at, fmt.Sprintf("the byte 0x%02x is not UTF-8 text", src[i])
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			return at, fmt.Sprintf("the control character 0x%02x does not belong in a job file", r)
		case r == '\n':
			at = place{at.line + 1, 1}
		default:
			at.column++
		}
		i += size
	}
	return place{}, ""
}

// surrogatePair is how JSON writes a character beyond the basic plane. YAML's
// double-quoted strings have all of JSON's escapes but these.
var surrogatePair = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)

func joinSurrogates(pair []byte) []byte {
	high, _ := strconv.ParseUint(string(pair[2:6]), 16, 16)
	low, _ := strconv.ParseUint(string(pair[8:12]), 16, 16)
	return fmt.Appendf(nil, `\U%08X`, utf16.DecodeRune(rune(high), rune(low)))
}

// syntax reports what the YAML reader stumbled over.
func (d *decoder) syntax(src []byte, err error) {
	var fault *yaml.LoadError
	if !errors.As(err, &fault) {
		d.refuse(place{}, "", "not YAML: "+err.Error())
		return
	}
	at := place{fault.Mark.Line, fault.Mark.Column}
	line := lineOf(src, at.line)
	switch {
	case strings.HasPrefix(line, "\t") || strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		d.refuse(at, "", "the line is indented with a tab; YAML is indented with spaces")
	case strings.HasPrefix(fault.Message, "mapping values are not allowed"):
		d.refuse(at, "", `a ":" is not expected here; check the indentation, and put text that holds ": " in quotes`)
	case fault.Message == "found character that cannot start any token" && at.column <= len(line):
		d.refuse(at, "", fmt.Sprintf("a value cannot start with %q; put it in quotes", line[at.column-1]))
	case fault.ContextMsg != "":
		reason := fmt.Sprintf("not YAML: %s %s", fault.Message, fault.ContextMsg)
		if from := fault.ContextMark.Line; from > 0 && from != at.line {
			reason += fmt.Sprintf(" that starts in line %d", from)
		}
		d.refuse(at, "", reason)
	default:
		d.refuse(at, "", "not YAML: "+fault.Message)
	}
}

// lineOf returns a line, counted from 1, without its end.
func lineOf(src []byte, number int) string {
	for i := 1; ; i++ {
		line, rest, more := bytes.Cut(src, []byte("\n"))
		if i == number {
			return string(bytes.TrimSuffix(line, []byte("\r")))
		}
		if !more {
			return ""
		}
		src = rest
	}
}
