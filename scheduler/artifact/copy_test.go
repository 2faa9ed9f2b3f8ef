package artifact_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/scheduler/artifact"
)

// TestCopyFrom: what one has the other has afterwards, complete and checked.
func TestCopyFrom(t *testing.T) {
	from, _ := open(t)
	to, dir := open(t)
	server := httptest.NewServer(from)
	if _, err := to.CopyFrom(t.Context(), http.DefaultClient, server.URL, ""); err == nil {
		t.Error("what is not shared was listed")
	}
	from.Share("t0ken")
	if _, err := to.CopyFrom(t.Context(), http.DefaultClient, server.URL, "wrong"); err == nil {
		t.Error("what is shared was listed for another token")
	}
	defer server.Close()
	for _, want := range []int{0, 2, 0, 1} {
		switch want {
		case 2:
			put(t, from, "corpus.txt", "it was the best of times")
			put(t, from, "copy.txt", "it was the best of times")
			put(t, to, "mine.txt", "it was the worst of times")
		case 1:
			put(t, from, "mine.txt", "it was the worst of times")
			put(t, from, "late.txt", "it was the age of wisdom")
		}
		copied, err := to.CopyFrom(t.Context(), http.DefaultClient, server.URL+"/", "t0ken")
		if err != nil || copied != want {
			t.Errorf("copied %d files, %v; want %d", copied, err, want)
		}
	}
	for name, content := range map[string]string{
		"corpus.txt": "it was the best of times", "copy.txt": "it was the best of times", "late.txt": "it was the age of wisdom",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, digestOf(content), name)); err != nil || string(got) != content {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}

// TestCopiesThatAreWrong: nothing of them stays.
func TestCopiesThatAreWrong(t *testing.T) {
	digest := digestOf("it was the best of times")
	for name, answers := range map[string]map[string]string{
		"another content": {artifact.Prefix: `["` + digest + `/corpus.txt"]`, artifact.Prefix + digest + "/corpus.txt": "it was the worst of times"},
		"no such file":    {artifact.Prefix: `["` + digest + `/corpus.txt"]`},
		"no list":         {artifact.Prefix: `<html>`},
		"no scheduler":    {},
		"a way out":       {artifact.Prefix: `["` + digest + `/../../passwd"]`, artifact.Prefix + digest + "/../../passwd": "it was the best of times", "/passwd": "it was the best of times"},
	} {
		t.Run(name, func(t *testing.T) {
			to, dir := open(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer, ok := answers[r.URL.Path]
				if !ok {
					http.NotFound(w, r)
					return
				}
				_, _ = w.Write([]byte(answer))
			}))
			defer server.Close()
			if copied, err := to.CopyFrom(t.Context(), http.DefaultClient, server.URL, "t0ken"); err == nil || copied != 0 || strings.Contains(err.Error(), "\n") {
				t.Errorf("copied %d files, %v", copied, err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}
