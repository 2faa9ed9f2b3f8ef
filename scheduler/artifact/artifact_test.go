package artifact_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/scheduler/artifact"
)

const base = "http://10.0.0.7:7070"

func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func open(t *testing.T) (a *artifact.Artifacts, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "artifacts")
	a, err := artifact.Open(dir, base)
	if err != nil {
		t.Fatal(err)
	}
	return a, dir
}

func put(t *testing.T, a *artifact.Artifacts, name, content string) (path string) {
	t.Helper()
	uri, err := a.Put(digestOf(content), name, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(jobspec.AddressOf(uri, a.Base()), base)
}

func get(a http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

func TestServing(t *testing.T) {
	a, _ := open(t)
	corpus := "it was the best of times"
	path := put(t, a, "corpus.txt", corpus)
	if want := "/artifacts/" + digestOf(corpus) + "/corpus.txt"; path != want {
		t.Fatalf("got the address %s, want %s", path, want)
	}
	etag := `"` + digestOf(corpus) + `"`
	for _, c := range []struct {
		name, method, path string
		header             []string
		status             int
		body               string
	}{
		{"the whole", "GET", path, nil, 200, corpus},
		{"its head", "HEAD", path, nil, 200, ""},
		{"a range", "GET", path, []string{"Range", "bytes=7-9"}, 206, "the"},
		{"a range beyond", "GET", path, []string{"Range", "bytes=100-"}, 416, "invalid range: failed to overlap\n"},
		{"a cached one", "GET", path, []string{"If-None-Match", etag}, 304, ""},
		{"a stale one", "GET", path, []string{"If-None-Match", `"other"`}, 200, corpus},
		{"another name", "GET", strings.Replace(path, "corpus", "x", 1), nil, 404, "no such artifact\n"},
		{"another digest", "GET", "/artifacts/" + digestOf("") + "/corpus.txt", nil, 404, "no such artifact\n"},
		{"no digest", "GET", "/artifacts/corpus.txt", nil, 404, "no such artifact\n"},
		{"the directory", "GET", "/artifacts/" + digestOf(corpus) + "/", nil, 404, "no such artifact\n"},
		{"the way out", "GET", "/artifacts/" + digestOf(corpus) + "/../../tandem.db", nil, 404, "no such artifact\n"},
		{"a change", "PUT", path, nil, 405, "artifacts are read only\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := get(a, c.method, c.path, c.header...)
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, c.status, c.body)
			}
		})
	}
	h := get(a, "HEAD", path).Header()
	for name, want := range map[string]string{
		"Content-Length": "24", "ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream",
		"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestWhatIsNotKept(t *testing.T) {
	a, dir := open(t)
	good := digestOf("content")
	for _, c := range []struct {
		name, digest, file string
		r                  io.Reader
		want               string
	}{
		{"another content", good, "f", strings.NewReader("other"), "the file's content has the SHA-256 " + digestOf("other") + ", not " + good},
		{"half of it", good, "f", iotest.ErrReader(errors.New("connection reset")), "cannot keep the file: connection reset"},
		{"a name that leads out", good, "../f", strings.NewReader("content"), `"../f" is not the name of a file`},
		{"a name that leads up", good, "..", strings.NewReader("content"), `".." is not the name of a file`},
		{"no name", good, "", strings.NewReader("content"), `"" is not the name of a file`},
		{"a digest in capitals", strings.ToUpper(good), "f", strings.NewReader("content"), "is not a SHA-256"},
		{"no digest", "..", "f", strings.NewReader("content"), `".." is not a SHA-256`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := a.Put(c.digest, c.file, c.r); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, ok := a.Find(c.digest, c.file); ok {
				t.Error("it is there")
			}
		})
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAfterARestart(t *testing.T) {
	a, dir := open(t)
	path := put(t, a, "corpus.txt", "content")
	put(t, a, "corpus.txt", "content")
	unfinished := filepath.Join(dir, ".new-123")
	if err := os.WriteFile(unfinished, []byte("cont"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := artifact.Open(dir, base+"/")
	if err != nil {
		t.Fatal(err)
	}
	uri, ok := a.Find(digestOf("content"), "corpus.txt")
	if address := jobspec.AddressOf(uri, a.Base()); !ok || address != base+path {
		t.Errorf("got %s, %v, want %s", address, ok, base+path)
	}
	if _, err := os.Stat(unfinished); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was not finished is still there: %v", err)
	}
}

func TestExecutor(t *testing.T) {
	a, _ := open(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	first, digest, err := a.PutExecutor(self)
	if err != nil {
		t.Fatal(err)
	}
	if again, same, err := a.PutExecutor(self); err != nil || again != first || same != digest || !strings.Contains(first, digest) {
		t.Errorf("the second time: %s, %v, want %s", again, err, first)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if w := get(a, "GET", strings.TrimPrefix(first, base)); w.Body.String() != string(binary) {
		t.Error("another binary is served")
	}
	if !strings.HasSuffix(first, "/tandem-executor") {
		t.Errorf("the address is %s", first)
	}
}

func TestWhatCannotBeAnExecutor(t *testing.T) {
	a, _ := open(t)
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ name, path, want string }{
		{"nothing", filepath.Join(dir, "none"), "the executor's binary is missing: there is no " + dir + "/none; "},
		{"a directory", dir, "it is not a file"},
		{"a file that is not executable", file("plain", "\x7fELF", 0o600), "it is not executable; chmod +x it"},
		{"a script", file("script", "#!/bin/sh\n", 0o700), "it is not an ELF program for Linux"},
		{"an empty file", file("empty", "", 0o700), "it is not an ELF program for Linux"},
		{"a program of another system", file("macho", "\xcf\xfa\xed\xfe\x07\x00\x00\x01", 0o700), "it is not an ELF program for Linux"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := a.PutExecutor(c.path); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
}
