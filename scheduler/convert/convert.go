package convert

import (
	"fmt"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Converted is one job, and what its owner has to know about it.
type Converted struct {
	Job     *tandemv1.Job
	Remarks []Remark
}

// Remark says that a part of the source was left out or means something else.
type Remark struct {
	// Field is the place in the source, such as container.docker.image.
	Field string
	// Text is one line: what became of it, and what to do.
	Text string
}

// String returns the remark in one line.
func (r Remark) String() string { return r.Field + ": " + r.Text }

// Convert reads a Marathon app, pod, group or list of these, or a compose file,
// in JSON or YAML; which of them it is is seen from its keys. The jobs come in
// the order of the source. The error says in one line why nothing was read.
func Convert(src []byte) ([]Converted, error) {
	if len(src) > jobspec.MaxSize {
		return nil, fmt.Errorf("the file is larger than %d MiB", jobspec.MaxSize>>20)
	}
	var doc any
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, fmt.Errorf("it is neither JSON nor YAML: %s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	var all []Converted
	if err := sources(doc, "", &all); err != nil {
		return nil, err
	}
	for i, c := range all {
		all[i].Remarks = append(c.Remarks, mistakes(c.Job)...)
	}
	return all, nil
}

// sources finds what can be converted in a document, and converts it.
func sources(doc any, parent string, all *[]Converted) error {
	if list, ok := doc.([]any); ok {
		for _, entry := range list {
			if err := sources(entry, parent, all); err != nil {
				return err
			}
		}
		return nil
	}
	o, ok := asObject(doc)
	if !ok {
		return fmt.Errorf("it is no Marathon app, pod or group, and no compose file")
	}
	switch {
	case o.has("app") && len(o.keys) == 1: // as Marathon gives a single one
		return sources(o.keys["app"], parent, all)
	case o.has("services"):
		*all = append(*all, compose(o)...)
	case o.has("apps"), o.has("pods"), o.has("groups"):
		return group(o, parent, all)
	case o.has("containers"):
		*all = append(*all, pod(o, parent))
	case o.has("id") && (o.has("cmd") || o.has("args") || o.has("container") || o.has("instances")):
		*all = append(*all, app(o, parent))
	default:
		return fmt.Errorf("it is no Marathon app, pod or group, and no compose file: it has none of the keys services, apps, pods, groups, containers, cmd, args and container")
	}
	return nil
}

// mistakes says what a job file made of the job would be refused for.
func mistakes(job *tandemv1.Job) []Remark {
	text, err := jobspec.Marshal(job)
	if err != nil {
		return []Remark{{Field: "job", Text: err.Error()}}
	}
	_, err = jobspec.Parse("", text)
	problems, _ := err.(jobspec.Problems)
	var remarks []Remark
	for _, p := range problems {
		field := p.Field
		if field == "" {
			field = "job"
		}
		remarks = append(remarks, Remark{Field: field, Text: "the job file is not right yet: " + p.Explain()})
	}
	return remarks
}

// path makes a job's ID of another scheduler's, below a parent. It says whether
// letters had to be changed.
func path(parent, id string) (string, bool) {
	if !strings.HasPrefix(id, "/") {
		id = parent + "/" + id
	}
	changed := false
	var segments []string
	for segment := range strings.SplitSeq(id, "/") {
		if segment == "" {
			continue
		}
		clean := word(segment)
		changed = changed || clean != segment
		segments = append(segments, clean)
	}
	return "/" + strings.Join(segments, "/"), changed
}

// word makes a name of lower-case letters, digits and hyphens.
func word(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, s), "-")
}

// unique returns the name, or the name with a number that is not taken yet.
func unique(name string, taken []string) string {
	for n, candidate := 2, name; ; n++ {
		if !slices.Contains(taken, candidate) {
			return candidate
		}
		candidate = fmt.Sprintf("%s-%d", name, n)
	}
}
