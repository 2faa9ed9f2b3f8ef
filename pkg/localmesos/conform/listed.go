package conform

import (
	"bufio"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Listed is a difference, or some of one kind, that is known and stays for now.
type Listed struct {
	Scenario    string
	First, Last int    // lines; 0 for all
	Path        string // what its text begins with; empty for all
	Reason      string
	// Chance says that it may differ in one replay and not in the next; it then
	// does not count.
	Chance bool
}

// ListedDifferences reads the list. An entry is a line: the scenario, its line
// or first-last or *, what the difference begins with or *, a colon between
// blanks, and the reason, which begins with "by chance, " for what may as well
// not differ. Lines that begin with # are for people.
func ListedDifferences(files fs.FS, name string) ([]Listed, error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the listed differences: %w", err)
	}
	defer file.Close()
	var all []Listed
	in := bufio.NewScanner(file)
	for number := 1; in.Scan(); number++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, err := readListed(line)
		if err != nil {
			return nil, fmt.Errorf("cannot read the listed differences: %s:%d: %w", name, number, err)
		}
		all = append(all, entry)
	}
	return all, in.Err()
}

func readListed(line string) (Listed, error) {
	what, reason, ok := strings.Cut(line, " : ")
	fields := strings.SplitN(what, " ", 3)
	if !ok || len(fields) != 3 {
		return Listed{}, fmt.Errorf("%q is not: scenario line what : reason", line)
	}
	l := Listed{Scenario: fields[0], Path: strings.TrimSuffix(strings.TrimSpace(fields[2]), "*"), Reason: reason}
	l.Chance = strings.HasPrefix(reason, "by chance, ")
	if fields[1] == "*" {
		return l, nil
	}
	first, last, isRange := strings.Cut(fields[1], "-")
	if !isRange {
		last = first
	}
	var err error
	if l.First, err = strconv.Atoi(first); err != nil {
		return Listed{}, err
	}
	l.Last, err = strconv.Atoi(last)
	return l, err
}

// Covers tells whether an entry is about a difference.
func (l Listed) Covers(d Difference) bool {
	return l.Scenario == d.Scenario && strings.HasPrefix(d.What, l.Path) &&
		(l.First == 0 || (l.First <= d.Line.Number && d.Line.Number <= l.Last))
}
