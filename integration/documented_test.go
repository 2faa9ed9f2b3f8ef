package integration

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedTestsExist looks for every test and script that the documents say
// holds a behaviour.
func TestDocumentedTestsExist(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	known := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(path, ".txt"):
			known[filepath.Base(path)] = true
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, name := range declared.FindAllSubmatch(text, -1) {
				known[string(name[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	documents, err := filepath.Glob("../docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+|\b[a-z][a-z-]*\.txt\b`)
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range strings.Split(string(text), "\n") {
			if !strings.HasPrefix(row, "|") {
				continue
			}
			for _, name := range named.FindAllString(row, -1) {
				if !known[name] {
					t.Errorf("%s names %s, which there is not", document, name)
				}
			}
		}
	}
}
