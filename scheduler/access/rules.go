package access

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Rules give identities rights. The zero value gives none.
type Rules struct{ list []rule }

// rule gives all of who a right for the jobs of all paths.
type rule struct {
	who   []string
	right tandemv1.Right
	jobs  []path
}

// path covers the job of that ID and all below it or, when it is open, only
// those below.
type path struct {
	id   string
	open bool
}

func (p path) covers(job string) bool {
	if below, ok := strings.CutPrefix(job, p.id); ok && (p.id == "" || below == "" || below[0] == '/') {
		return !p.open || len(below) > 1 || p.id == ""
	}
	return false
}

// whole covers every job.
var whole = path{open: true}

// openRules let everybody do everything.
var openRules = &Rules{list: []rule{{
	who: []string{Anonymous, Everyone}, right: tandemv1.Right_RIGHT_ADMIN, jobs: []path{whole},
}}}

// may reports whether the caller has the right for a job, "/" meaning all jobs.
func (r *Rules) may(c Caller, right tandemv1.Right, job string) bool {
	return right != tandemv1.Right_RIGHT_UNSPECIFIED && r.some(c, right, func(p path) bool {
		return p == whole || job != "/" && p.covers(job)
	})
}

func (r *Rules) maySome(c Caller, right tandemv1.Right) bool {
	return right != tandemv1.Right_RIGHT_UNSPECIFIED && r.some(c, right, func(path) bool { return true })
}

func (r *Rules) some(c Caller, right tandemv1.Right, covers func(path) bool) bool {
	return slices.ContainsFunc(r.list, func(l rule) bool {
		return l.right >= right && slices.ContainsFunc(l.who, c.is) && slices.ContainsFunc(l.jobs, covers)
	})
}

// rights are the words of the file.
var rights = map[string]tandemv1.Right{
	"read": tandemv1.Right_RIGHT_READ, "operate": tandemv1.Right_RIGHT_OPERATE, "admin": tandemv1.Right_RIGHT_ADMIN,
}

// Word is how a right is called in the file and in messages.
func Word(right tandemv1.Right) string {
	for word, r := range rights {
		if r == right {
			return word
		}
	}
	return "no right"
}

// ParseRules reads a file of rules:
//
//	rules:
//	  - who: [oidc:ann@example.org, group:payments, token:ci]
//	    right: operate          # read, operate or admin
//	    jobs: [/payments/*, /shared/cache]
//	  - who: [everyone]
//	    right: read
//	    jobs: [/*]
//
// A path covers the job of that ID and all below it; with /* at its end only what
// is below. The error has a line for each thing that is wrong.
func ParseRules(content []byte) (*Rules, error) {
	var file struct {
		Rules []struct {
			Who   []string `yaml:"who"`
			Right string   `yaml:"right"`
			Jobs  []string `yaml:"jobs"`
		} `yaml:"rules"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("not a file of rules: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a file of rules: something follows its first document")
	}
	var errs []error
	rules := &Rules{}
	for i, f := range file.Rules {
		bad := func(field, format string, args ...any) {
			errs = append(errs, fmt.Errorf("rules[%d].%s: %s", i, field, fmt.Sprintf(format, args...)))
		}
		right, ok := rights[f.Right]
		if !ok {
			bad("right", "%q is not read, operate or admin", f.Right)
		}
		if len(f.Who) == 0 {
			bad("who", "names nobody")
		}
		for _, who := range f.Who {
			if !identity(who) {
				bad("who", "%q is not token:NAME, oidc:NAME, group:NAME, cert:NAME, everyone or anonymous", who)
			}
		}
		if len(f.Jobs) == 0 {
			bad("jobs", "names no jobs; /* is all of them")
		}
		l := rule{who: f.Who, right: right}
		for _, job := range f.Jobs {
			p, ok := parsePath(job)
			if !ok {
				bad("jobs", "%q is no path of a job such as /payments/api, or of those below one such as /payments/*", job)
			}
			l.jobs = append(l.jobs, p)
		}
		rules.list = append(rules.list, l)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return rules, nil
}

func identity(s string) bool {
	kind, name, named := strings.Cut(s, ":")
	if !named {
		return s == Everyone || s == Anonymous
	}
	return name != "" && slices.Contains([]string{"token", "oidc", "group", "cert"}, kind)
}

var jobPath = regexp.MustCompile(`^(/[^/*\s]+)+$`)

func parsePath(s string) (path, bool) {
	id, open := strings.CutSuffix(s, "/*")
	if open && id == "" {
		return whole, true
	}
	return path{id: id, open: open}, jobPath.MatchString(id)
}
