package integration

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
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
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(name, ".txt"):
			known[filepath.Base(name)] = true
		case strings.HasSuffix(name, "_test.go"):
			text, err := os.ReadFile(name)
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

// TestEveryRoomIsDocumented holds the table of rooms in docs/architecture.md against the
// packages that there are. A package in no row of its own belongs to the room above it;
// the two programs themselves need none.
func TestEveryRoomIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rooms := map[string]bool{}
	named := regexp.MustCompile("`([^`]+)`")
	_, table, _ := strings.Cut(string(text), "| room | reason to exist |\n|---|---|\n")
	for _, row := range strings.Split(table, "\n") {
		if !strings.HasPrefix(row, "|") {
			break
		}
		in := "" // the first of a row's rooms says where the others are
		for _, name := range named.FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
			room := path.Join(in, name[1])
			in = path.Dir(room)
			rooms[room] = true
			if _, err := os.Stat(filepath.Join("..", room)); err != nil {
				t.Errorf("docs/architecture.md names the room %s, which there is not", room)
			}
		}
	}
	list := exec.Command("go", "list", "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("cannot list packages: %v", err)
	}
	for _, line := range strings.Fields(string(out)) {
		pkg := strings.TrimPrefix(line, module)
		at := pkg
		for !rooms[at] && at != "." {
			at = path.Dir(at)
		}
		if at == "." && pkg != "scheduler" && pkg != "executor" {
			t.Errorf("docs/architecture.md has no room for the package %s", pkg)
		}
	}
}
