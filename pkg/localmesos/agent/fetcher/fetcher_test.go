package fetcher_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/ulikunitz/xz"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/fetcher"
)

// tarball is an archive of a text, a program, a link and a directory.
func tarball(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []struct {
		header tar.Header
		text   string
	}{
		{tar.Header{Name: "app/", Typeflag: tar.TypeDir, Mode: 0o755}, ""},
		{tar.Header{Name: "app/readme.txt", Typeflag: tar.TypeReg, Mode: 0o644, Size: 5}, "hello"},
		{tar.Header{Name: "app/run", Typeflag: tar.TypeReg, Mode: 0o755, Size: 4}, "exec"},
		{tar.Header{Name: "app/current", Typeflag: tar.TypeSymlink, Linkname: "run"}, ""},
	} {
		if err := w.WriteHeader(&h.header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, h.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compress(t *testing.T, data []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(w io.Writer) (io.WriteCloser, error)   { return gzip.NewWriter(w), nil }
func xzip(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }
func zst(w io.Writer) (io.WriteCloser, error)  { return zstd.NewWriter(w) }

// bzipped is app/readme.txt as tar.bz2, which the standard library only reads.
const bzipped = "QlpoOTFBWSZTWRWCFoAAAG57gMmAAAJAAecAEABmRt5ACAggAFRGoQwgbRGTDUEkk9QBpoAaB93cQQg5dCESnKwyvtrQIYGN5ycTsI1gCmx0OI6a7CBn7Y/kbe6puK2UTKdmACL8XckU4UJAVghaAA=="

func zipped(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("app/readme.txt")
	if err == nil {
		_, err = io.WriteString(f, "hello")
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// site serves files by name and counts the requests.
type site struct {
	files    map[string][]byte
	requests atomic.Int64
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	data, ok := s.files[r.URL.Path]
	switch {
	case r.URL.Path == "/moved":
		http.Redirect(w, r, "/tool", http.StatusFound)
	case !ok:
		http.NotFound(w, r)
	default:
		w.Write(data)
	}
}

type fixture struct {
	*testing.T
	fetcher *fetcher.Fetcher
	url     string
	site    *site
	dir     string
	log     bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	tar := tarball(t)
	bz2, err := base64.StdEncoding.DecodeString(bzipped)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, dir: t.TempDir(), site: &site{files: map[string][]byte{
		"/tool": []byte("#!/bin/sh\n"), "/app.tar": tar, "/app.tar.gz": compress(t, tar, gz), "/app.tgz": compress(t, tar, gz),
		"/app.tar.xz": compress(t, tar, xzip), "/app.tar.zst": compress(t, tar, zst), "/app.tar.bz2": bz2, "/app.zip": zipped(t),
		"/words.gz": compress(t, []byte("words"), gz), "/broken.tar.gz": []byte("no archive"),
	}}}
	server := httptest.NewServer(f.site)
	t.Cleanup(server.Close)
	f.url = server.URL
	f.fetcher, err = fetcher.New(fetcher.Options{CacheDir: filepath.Join(t.TempDir(), "fetch"), StallTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.fetcher.Close)
	return f
}

func (f *fixture) fetch(uris ...mesos.CommandInfo_URI) error {
	return f.fetcher.Fetch(f.Context(), uris, fetcher.Sandbox{Dir: f.dir, User: "root", Log: &f.log})
}

// tree lists the sandbox: mode, name, and where a link leads.
func (f *fixture) tree() []string {
	f.Helper()
	var all []string
	err := filepath.WalkDir(f.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == f.dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(f.dir, path)
		line := info.Mode().String() + " " + name
		if target, err := os.Readlink(path); err == nil {
			line = "link " + name + " " + target
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	return all
}

func uri(value string, change ...func(*mesos.CommandInfo_URI)) mesos.CommandInfo_URI {
	u := mesos.CommandInfo_URI{Value: value}
	for _, c := range change {
		c(&u)
	}
	return u
}

func executable(u *mesos.CommandInfo_URI) { yes := true; u.Executable = &yes }
func cached(u *mesos.CommandInfo_URI)     { yes := true; u.Cache = &yes }
func packed(u *mesos.CommandInfo_URI)     { no := false; u.Extract = &no }
func as(name string) func(*mesos.CommandInfo_URI) {
	return func(u *mesos.CommandInfo_URI) { u.OutputFile = &name }
}

func TestFetch(t *testing.T) {
	app := []string{"drwxr-xr-x app", "link app/current run", "-rw-r--r-- app/readme.txt", "-rwxr-xr-x app/run"}
	after := func(last string) []string { return append(append([]string{}, app...), last) }
	for _, c := range []struct {
		name string
		uri  func(site string) mesos.CommandInfo_URI
		want []string
	}{
		{"a plain file", func(s string) mesos.CommandInfo_URI { return uri(s + "/tool") }, []string{"-rw-r--r-- tool"}},
		{"after a redirect", func(s string) mesos.CommandInfo_URI { return uri(s + "/moved") }, []string{"-rw-r--r-- moved"}},
		{"a program", func(s string) mesos.CommandInfo_URI { return uri(s+"/tool?version=2", executable) }, []string{"-rwxr-xr-x tool"}},
		{"under another name", func(s string) mesos.CommandInfo_URI { return uri(s+"/tool", executable, as("bin/my-tool")) }, []string{"drwxr-xr-x bin", "-rwxr-xr-x bin/my-tool"}},
		{"tar", func(s string) mesos.CommandInfo_URI { return uri(s + "/app.tar") }, after("-rw-r--r-- app.tar")},
		{"tar.gz, which is kept", func(s string) mesos.CommandInfo_URI { return uri(s + "/app.tar.gz") }, after("-rw-r--r-- app.tar.gz")},
		{"tgz", func(s string) mesos.CommandInfo_URI { return uri(s + "/app.tgz") }, after("-rw-r--r-- app.tgz")},
		{"tar.xz", func(s string) mesos.CommandInfo_URI { return uri(s + "/app.tar.xz") }, after("-rw-r--r-- app.tar.xz")},
		{"tar.zst", func(s string) mesos.CommandInfo_URI { return uri(s + "/app.tar.zst") }, after("-rw-r--r-- app.tar.zst")},
		{"tar.bz2", func(s string) mesos.CommandInfo_URI { return uri(s + "/app.tar.bz2") }, []string{"drwxr-xr-x app", "-rw-r--r-- app/readme.txt", "-rw-r--r-- app.tar.bz2"}},
		{"zip", func(s string) mesos.CommandInfo_URI { return uri(s + "/app.zip") }, []string{"drwxr-xr-x app", "-rw-r--r-- app/readme.txt", "-rw-r--r-- app.zip"}},
		{"gz of one file", func(s string) mesos.CommandInfo_URI { return uri(s + "/words.gz") }, []string{"-rw-r--r-- words", "-rw-r--r-- words.gz"}},
		{"packed", func(s string) mesos.CommandInfo_URI { return uri(s+"/app.tar.gz", packed) }, []string{"-rw-r--r-- app.tar.gz"}},
		{"an executable archive", func(s string) mesos.CommandInfo_URI { return uri(s+"/app.tgz", executable) }, []string{"-rwxr-xr-x app.tgz"}},
		{"from the cache, unpacked", func(s string) mesos.CommandInfo_URI { return uri(s+"/app.tar.gz", cached) }, app},
		{"from the cache", func(s string) mesos.CommandInfo_URI { return uri(s+"/tool", cached, executable) }, []string{"-rwxr-xr-x tool"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			if err := f.fetch(c.uri(f.url)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, f.tree()); diff != "" {
				t.Errorf("sandbox (-want +got):\n%s", diff)
			}
			if !strings.Contains(f.log.String(), "Successfully fetched all URIs into '"+f.dir+"'\n") {
				t.Errorf("log %q", f.log.String())
			}
		})
	}
}

func TestFetchFromFiles(t *testing.T) {
	f := newFixture(t)
	source := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(source, []byte("tool"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.fetch(uri("file://"+source, executable), uri(source, as("bare"))); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"-rw-r--r-- bare", "-rwxr-xr-x tool"}, f.tree()); diff != "" {
		t.Errorf("sandbox (-want +got):\n%s", diff)
	}
}

func TestFetchFailures(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		name, uri, want string
		change          func(*mesos.CommandInfo_URI)
	}{
		{"not found", f.url + "/none", "Error downloading resource, received HTTP return code 404", func(*mesos.CommandInfo_URI) {}},
		{"not found, for the cache", f.url + "/none", "Error downloading resource, received HTTP return code 404", cached},
		{"unknown scheme", "gopher://x/y", "no fetcher is known for the scheme 'gopher'", func(*mesos.CommandInfo_URI) {}},
		{"no such file", "file:///no/such/file", "no such file or directory", func(*mesos.CommandInfo_URI) {}},
		{"relative path", "some/file", "A relative path was passed for the resource", func(*mesos.CommandInfo_URI) {}},
		{"no path", "http://127.0.0.1", "Malformed URI (missing path): http://127.0.0.1", func(*mesos.CommandInfo_URI) {}},
		{"broken archive", f.url + "/broken.tar.gz", "Failed to extract archive", func(*mesos.CommandInfo_URI) {}},
		{"out of the sandbox", f.url + "/tool", "the output file '../tool' is not within the sandbox", as("../tool")},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.log.Reset()
			err := f.fetch(uri(c.uri, c.change), uri(f.url+"/tool"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
			if want := "Failed to fetch '" + c.uri + "': "; !strings.Contains(f.log.String(), want) {
				t.Errorf("log %q does not say %q", f.log.String(), want)
			}
		})
	}
}

func TestCacheFetchesOnce(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		if err := f.fetch(uri(f.url+"/tool", cached)); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.site.requests.Load(); n != 1 {
		t.Errorf("%d requests for one cached file", n)
	}
	other := fetcher.Sandbox{Dir: t.TempDir(), User: "nobody", Log: &f.log}
	if err := f.fetcher.Fetch(t.Context(), []mesos.CommandInfo_URI{uri(f.url+"/tool", cached)}, other); err != nil {
		t.Fatal(err)
	}
	if n := f.site.requests.Load(); n != 2 {
		t.Errorf("%d requests for two users", n)
	}
}

func TestArchivesStayInTheSandbox(t *testing.T) {
	for name, headers := range map[string][]tar.Header{
		"by a name":          {{Name: "../evil", Typeflag: tar.TypeReg}},
		"by an absolute one": {{Name: "/tmp/evil", Typeflag: tar.TypeReg}},
		"through a link":     {{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "out/evil", Typeflag: tar.TypeReg}},
		"by a hard link":     {{Name: "passwd", Typeflag: tar.TypeLink, Linkname: "../../../../../../etc/passwd"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, h := range headers {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			f.site.files["/evil.tar"] = b.Bytes()
			if err := f.fetch(uri(f.url + "/evil.tar")); err == nil {
				t.Error("the archive was unpacked")
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(f.dir), "evil")); err == nil {
				t.Error("a file was written outside the sandbox")
			}
		})
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	f := newFixture(t)
	begun := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}))
	defer slow.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	to := fetcher.Sandbox{Dir: f.dir, Log: io.Discard}
	if err := f.fetcher.Fetch(ctx, []mesos.CommandInfo_URI{uri(slow.URL + "/tool")}, to); err == nil {
		t.Error("the fetch did not fail")
	}
}

func FuzzTar(f *testing.F) {
	f.Add([]byte("no archive"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		source := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(source, data, 0o644); err != nil {
			t.Fatal(err)
		}
		fetch, err := fetcher.New(fetcher.Options{CacheDir: t.TempDir(), StallTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		// It must neither panic nor write elsewhere, whatever it is given.
		_ = fetch.Fetch(t.Context(), []mesos.CommandInfo_URI{uri("file://" + source)}, fetcher.Sandbox{Dir: dir, Log: io.Discard})
	})
}
