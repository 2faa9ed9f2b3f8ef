package jobspec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/agnivade/levenshtein"
)

// Problem is one mistake in a job.
type Problem struct {
	// File is the name that was given to Parse; empty in what Validate returns.
	File string
	// Line and Column count from 1; 0 where the place is not known.
	Line, Column int
	// Field is the path of the field at fault, such as
	// workloads[0].resources.cpus; empty for the job as a whole.
	Field string
	// Reason says what is wrong, and what is asked for.
	Reason string
	// Suggestion is what was probably meant, or empty.
	Suggestion string
}

// String returns the problem in one line:
//
//	job.yaml:12:5: workloads[0].resources.cpu: unknown key; did you mean "cpus"?
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Field != "" {
		b.WriteString(p.Field)
		b.WriteString(": ")
	}
	b.WriteString(p.Explain())
	return oneLine(b.String())
}

// Explain returns the reason together with the suggestion, without the place.
func (p Problem) Explain() string {
	if p.Suggestion == "" {
		return oneLine(p.Reason)
	}
	return oneLine(fmt.Sprintf("%s; did you mean %q?", p.Reason, p.Suggestion))
}

// oneLine takes the control characters away that a key or a pattern may have
// brought in.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// Problems are all mistakes in a job, in the order of the file. It is the only
// kind of error that Parse returns.
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}

// nearest returns the word of the list that the given one was probably meant to
// be, or nothing when none is near.
func nearest(word string, list []string) string {
	folded := strings.ToLower(word)
	best, distance := "", 1+min(3, len(word)/2)
	for _, candidate := range list {
		if len(folded) >= 3 && strings.HasPrefix(strings.ToLower(candidate), folded) {
			return candidate
		}
		d := levenshtein.ComputeDistance(folded, strings.ToLower(candidate))
		if d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// quoted returns a word of a file as it is shown in a reason: short enough for
// one line.
func quoted(word string) string {
	const most = 60
	if r := []rune(word); len(r) > most {
		word = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", word)
}
