package files_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/files"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

func TestEndpoints(t *testing.T) {
	sandbox := filepath.Join(t.TempDir(), "run")
	outside := filepath.Join(filepath.Dir(sandbox), "secret")
	for name, text := range map[string]string{
		filepath.Join(sandbox, "stdout"): "example executor started\n",
		filepath.Join(sandbox, "d", "x"): "x",
		outside:                          "secret",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(sandbox, "link")); err != nil {
		t.Fatal(err)
	}
	f := files.New()
	f.Attach("/frameworks/fw/executors/e/runs/latest", sandbox, nil)
	f.Attach(sandbox, sandbox, nil)
	f.Attach("/agent/log", filepath.Join(sandbox, "stdout"), nil)
	router := wire.NewRouter("slave(1)")
	f.Register(router, func(h wire.Handler) wire.Handler { return h }, func(_ string, h wire.Handler) wire.Handler { return h })

	const run = "/frameworks/fw/executors/e/runs/latest"
	for _, c := range []struct {
		path   string
		status int
		body   string // its beginning, or all of it if short
	}{
		{"/files/browse?path=" + run + "/d", 200, `[{"gid":`},
		{"/files/browse?path=" + run + "/stdout", 200, `[]`},
		{"/files/browse?path=" + run + "/nope", 404, ""},
		{"/files/browse?path=/etc", 404, ""},
		{"/files/browse", 400, "Expecting 'path=value' in query.\n"},
		{"/files/read?path=" + run + "/stdout", 200, `{"data":"","offset":25}`},
		{"/files/read?path=" + sandbox + "/stdout&offset=-1", 200, `{"data":"","offset":25}`},
		{"/files/read?path=" + run + "/stdout&offset=5&length=10", 200, `{"data":"le executo","offset":5}`},
		{"/files/read?path=" + run + "/stdout&offset=100000", 200, `{"data":"","offset":100000}`},
		{"/files/read?path=/agent/log&offset=0&length=7", 200, `{"data":"example","offset":0}`},
		{"/files/read?path=" + run + "/stdout&offset=x", 400, "Failed to parse offset: Failed to convert 'x' to number.\n"},
		{"/files/read?path=" + run + "/stdout&offset=", 400, "Failed to parse offset: Failed to convert '' to number.\n"},
		{"/files/read?path=" + run, 400, "Cannot read a directory.\n"},
		{"/files/read?path=" + run + "/nope", 404, ""},
		{"/files/read?path=" + run + "/../secret", 400, "'" + sandbox + "/../secret' is inaccessible.\n"},
		{"/files/read?path=" + run + "/../nope", 404, ""},
		{"/files/browse?path=" + run + "/../..", 400, "'" + sandbox + "/../..' is inaccessible.\n"},
		{"/files/browse.json?path=" + run, 404, "404 Not Found."},
		{"/files/read?path=" + run + "/stdout&offset=-2", 400, "Negative offset provided: -2.\n"},
		{"/files/read?path=" + run + "/stdout&offset=0&length=-2", 400, "Negative length provided: -2.\n"},
		{"/files/read?path=" + run + "/link", 400, "'" + filepath.Join(sandbox, "link") + "' is inaccessible.\n"},
		{"/files/read", 400, "Expecting 'path=value' in query.\n"},
		{"/files/download?path=" + run + "/stdout", 200, "example executor started\n"},
		{"/files/download?path=" + run, 400, "Cannot download a directory.\n"},
		{"/files/download?path=" + run + "/nope", 404, "404 Not Found."},
		{"/files/debug", 200, `{"/agent/log":`},
	} {
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, c.path, nil))
		if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.body) || (c.body == "" && w.Body.Len() > 0) {
			t.Errorf("%s is answered %d %q, want %d %q", c.path, w.Code, w.Body.String(), c.status, c.body)
		}
	}
}

func TestPagesForABrowser(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	for name, text := range map[string]string{"stdout": "hello\n", "a & b/<x>": "x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := files.New()
	f.Attach("/runs/latest", dir, nil)
	f.Attach("/runs/hidden", dir, func(string) bool { return false })
	router := wire.NewRouter("slave(1)")
	f.Register(router, func(h wire.Handler) wire.Handler { return h }, func(_ string, h wire.Handler) wire.Handler { return h })
	for _, c := range []struct {
		name   string
		status int
		wants  []string
		never  string
	}{
		{"/runs/latest", 200, []string{
			`<a href="/files/browse?path=%2Fruns%2Flatest%2Fa&#43;%26&#43;b">a &amp; b/</a>`, `<a href="/files/browse?path=%2Fruns%2Flatest%2Fstdout">stdout</a>`,
			`<a href="/files/download?path=%2Fruns%2Flatest%2Fstdout">Download</a>`, "runs/latest</h1>", `<td>pipe</td>`,
		}, "path=%2Fruns\""},
		{"/runs/latest/stdout", 200, []string{
			`<a href="/files/browse?path=%2Fruns%2Flatest">latest</a>/stdout</h1>`, `read = "/files/read?path=%2Fruns%2Flatest%2Fstdout"`, "6 bytes",
		}, "hello"},
		{"/runs/latest/a & b/<x>", 200, []string{"&lt;x&gt;</h1>"}, "<x>"},
		{"/runs/latest/pipe", 200, []string{"Nothing is in it"}, "Download"},
		{"/runs/latest/nope", 404, nil, "html"},
		{"/runs/hidden", 403, nil, "html"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/files/browse?path="+url.QueryEscape(c.name), nil)
		r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s is answered %d, want %d", c.name, w.Code, c.status)
		}
		for _, want := range c.wants {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s does not show %s:\n%s", c.name, want, w.Body)
			}
		}
		if strings.Contains(w.Body.String(), c.never) {
			t.Errorf("%s shows %s:\n%s", c.name, c.never, w.Body)
		}
	}
}

func TestDownloadsHaveTheMediaTypesOfTheirNames(t *testing.T) {
	dir := t.TempDir()
	f := files.New()
	f.Attach("/d", dir, nil)
	router := wire.NewRouter("slave(1)")
	f.Register(router, func(h wire.Handler) wire.Handler { return h }, func(_ string, h wire.Handler) wire.Handler { return h })
	for name, want := range map[string]string{
		"stdout": "application/octet-stream", "black.gif": "image/gif", "a.tar.gz": "application/octet-stream",
		"notes.txt": "text/plain", "page.html": "text/html", "run.sh": "application/x-sh", "upper.TXT": "application/octet-stream",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/files/download?path=/d/"+name, nil))
		if got := w.Header().Get("Content-Type"); got != want || w.Code != http.StatusOK {
			t.Errorf("%s is downloaded as %q with %d, want %q", name, got, w.Code, want)
		}
	}
}
