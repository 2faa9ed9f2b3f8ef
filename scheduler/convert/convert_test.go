package convert_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/scheduler/convert"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expected results")

// TestConvert holds what becomes of each file of testdata, and each remark,
// against the .want beside it.
func TestConvert(t *testing.T) {
	files, err := filepath.Glob("testdata/*.[jy]*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			jobs, err := convert.Convert(src)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for _, c := range jobs {
				text, err := jobspec.Marshal(c.Job)
				if err != nil {
					t.Fatal(err)
				}
				got.Write(text)
				for _, r := range c.Remarks {
					fmt.Fprintln(&got, r)
				}
			}
			want := strings.TrimSuffix(name, filepath.Ext(name)) + ".want"
			if *rewrite {
				if err := os.WriteFile(want, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			expected, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(expected), got.String()); diff != "" {
				t.Errorf("it differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefused: what is nothing that can be converted is refused in one line.
func TestRefused(t *testing.T) {
	for src, want := range map[string]string{
		`{`:                   "neither JSON nor YAML",
		`hello`:               "no Marathon app, pod or group, and no compose file",
		`{"name": "x"}`:       "it has none of the keys",
		`{"apps": ["hello"]}`: "an entry of apps is not an object",
		`[1]`:                 "no Marathon app, pod or group, and no compose file",
	} {
		_, err := convert.Convert([]byte(src))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", src, err, want)
		}
	}
}

// FuzzConvert: no file makes it panic, and every job can be written.
func FuzzConvert(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.[jy]*")
	for _, name := range files {
		if src, err := os.ReadFile(name); err == nil {
			f.Add(src)
		}
	}
	f.Add([]byte(`{"services": {"a": {"healthcheck": {"test": []}}, "b": {"healthcheck": {"test": ["CMD"]}}}}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		jobs, err := convert.Convert(src)
		if err != nil {
			return
		}
		for _, c := range jobs {
			for _, r := range c.Remarks {
				if r.Text == "" || strings.Contains(r.Text, "\n") {
					t.Errorf("a remark of %q is not one line: %q", r.Field, r.Text)
				}
			}
		}
	})
}
