package fetch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func ptr[T any](v T) *T { return &v }

// tree lists what is below a directory: directories with a slash, links with
// their target, files with their mode and content.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			all = append(all, rel+"/")
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			all = append(all, rel+" -> "+target)
		default:
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if len(content) > 20 {
				content = []byte("...")
			}
			all = append(all, fmt.Sprintf("%s %o %s", rel, info.Mode().Perm(), content))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func tarball(t testing.TB, entries ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		content := "content of " + filepath.Base(h.Name)
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
			if h.Mode == 0 {
				h.Mode = 0o644
			}
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			io.WriteString(w, content)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func anApp(t testing.TB) []byte {
	return tarball(t,
		tar.Header{Name: "app/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "app/run", Typeflag: tar.TypeReg, Mode: 0o4755},
		tar.Header{Name: "app/lib/x.so", Typeflag: tar.TypeReg},
		tar.Header{Name: "app/python", Typeflag: tar.TypeSymlink, Linkname: "/usr/bin/python3"},
		tar.Header{Name: "app/again", Typeflag: tar.TypeLink, Linkname: "app/run"},
	)
}

func compressed(t testing.TB, data []byte, by func(io.Writer) (io.WriteCloser, error)) []byte {
	var b bytes.Buffer
	w, err := by(&b)
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

func byGzip(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }

// files serves byte slices by their names.
func files(t *testing.T, all map[string][]byte) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, ok := all[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(content)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestArchivesAreUnpackedAndKept(t *testing.T) {
	app := anApp(t)
	bytesOf := map[string][]byte{
		"app.tar":     app,
		"app.tar.gz":  compressed(t, app, byGzip),
		"app.tgz":     compressed(t, app, byGzip),
		"app.tar.xz":  compressed(t, app, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
		"app.txz":     compressed(t, app, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
		"app.tar.zst": compressed(t, app, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
	}
	server := files(t, bytesOf)
	for name, content := range bytesOf {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			sum := sha256.Sum256(content)
			err := Fetch(t.Context(), Request{URI: server.URL + "/" + name, Dir: dir, SHA256: hex.EncodeToString(sum[:])})
			if err != nil {
				t.Fatal(err)
			}
			want := []string{
				name + " 644 ...",
				"app/",
				"app/again 755 content of run",
				"app/lib/",
				"app/lib/x.so 644 content of x.so",
				"app/python -> /usr/bin/python3",
				"app/run 755 content of run", // Without the set-user-ID bit.
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestZip(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	add := func(name string, mode fs.FileMode, content string) {
		h := &zip.FileHeader{Name: name}
		h.SetMode(mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, content)
	}
	add("app/run", 0o755, "go")
	add("app/link", fs.ModeSymlink|0o777, "run")
	w.Close()
	server := files(t, map[string][]byte{"app.zip": b.Bytes()})
	dir := t.TempDir()
	if err := Fetch(t.Context(), Request{URI: server.URL + "/app.zip", Dir: dir, Name: "below/here.zip"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"below/", "below/app/", "below/app/link -> run", "below/app/run 755 go", "below/here.zip 644 ..."}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatIsUnpacked(t *testing.T) {
	server := files(t, map[string][]byte{
		"words.gz": compressed(t, []byte("a b c"), byGzip),
		"app.tgz":  compressed(t, tarball(t, tar.Header{Name: "x", Typeflag: tar.TypeReg}), byGzip),
	})
	for _, c := range []struct {
		name    string
		request Request
		want    []string
	}{
		{"a single compressed file stays as it is", Request{URI: "/words.gz"}, []string{"words.gz 644 ..."}},
		{"unless extraction is asked for", Request{URI: "/words.gz", Extract: ptr(true)}, []string{"words 644 a b c", "words.gz 644 ..."}},
		{"an archive not, if so asked", Request{URI: "/app.tgz", Extract: ptr(false)}, []string{"app.tgz 644 ..."}},
		{"an executable never", Request{URI: "/app.tgz", Executable: true, Extract: ptr(true)}, []string{"app.tgz 755 ..."}},
		{"the ending is that of the name", Request{URI: "/app.tgz", Name: "app"}, []string{"app 644 ..."}},
		{"a query is no part of the name", Request{URI: "/app.tgz?token=1/2", Extract: ptr(false)}, []string{"app.tgz 644 ..."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.request.Dir = t.TempDir()
			c.request.URI = server.URL + c.request.URI
			if err := Fetch(t.Context(), c.request); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, tree(t, c.request.Dir)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestEscapesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		archive []byte
		err     string // Empty: it stays inside.
	}{
		{"up and out", tarball(t, tar.Header{Name: "../evil", Typeflag: tar.TypeReg}), "leaves the directory"},
		{"up in the middle", tarball(t, tar.Header{Name: "a/../../evil", Typeflag: tar.TypeReg}), "leaves the directory"},
		{"absolute", tarball(t, tar.Header{Name: "/evil", Typeflag: tar.TypeReg}), ""},
		{"through a link", tarball(t,
			tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."},
			tar.Header{Name: "out/evil", Typeflag: tar.TypeReg}), "escapes"},
		{"through an absolute link", tarball(t,
			tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "/tmp"},
			tar.Header{Name: "out/tandem-evil", Typeflag: tar.TypeReg}), "escapes"},
		{"a file over a link", tarball(t,
			tar.Header{Name: "evil", Typeflag: tar.TypeSymlink, Linkname: "../evil"},
			tar.Header{Name: "evil", Typeflag: tar.TypeReg}), ""},
		{"a mode through a link", tarball(t,
			tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."},
			tar.Header{Name: "out", Typeflag: tar.TypeDir, Mode: 0o777}), "escapes"},
		{"a hard link out", tarball(t, tar.Header{Name: "passwd", Typeflag: tar.TypeLink, Linkname: "../../../../etc/passwd"}), "leaves the directory"},
		{"a hard link through a link", tarball(t,
			tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."},
			tar.Header{Name: "stolen", Typeflag: tar.TypeLink, Linkname: "out/secret"}), "escapes"},
		{"a device", tarball(t, tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}), "neither a file"},
		{"a pipe", tarball(t, tar.Header{Name: "pipe", Typeflag: tar.TypeFifo}), "neither a file"},
		{"cut short", anApp(t)[:700], "unexpected EOF"},
		{"no archive", []byte("<html>"), "cannot unpack"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := files(t, map[string][]byte{"a.tar": c.archive})
			outside := t.TempDir()
			if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(outside, "sandbox")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			err := Fetch(t.Context(), Request{URI: server.URL + "/a.tar", Dir: dir})
			if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %v, want %q", err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
			for _, name := range tree(t, outside) {
				if name != "secret 600 secret" && !strings.HasPrefix(name, "sandbox/") {
					t.Errorf("made %s outside", name)
				}
			}
		})
	}
}

func TestFailuresSayWhatIsWrong(t *testing.T) {
	server := files(t, map[string][]byte{"app": []byte("app")})
	dir := t.TempDir()
	for _, c := range []struct {
		request Request
		want    string
	}{
		{Request{URI: server.URL + "/none"}, "cannot fetch " + server.URL + "/none: the server answers 404 Not Found"},
		{Request{URI: server.URL + "/app", SHA256: strings.Repeat("0", 64)}, "its SHA-256 is a172"},
		{Request{URI: server.URL + "/app", SHA256: "123"}, `"123" is no SHA-256`},
		{Request{URI: server.URL + "/app", Name: "../app"}, `the name "../app" leaves the directory`},
		{Request{URI: server.URL}, "give it a name"},
		{Request{URI: "http://127.0.0.1:1/app", Retry: 1}, "connection refused"},
		{Request{URI: "hdfs://namenode/app"}, "only http, https and file URIs"},
		{Request{URI: "app.tgz"}, "only http, https and file URIs"},
		{Request{URI: "file://host/app"}, "only http, https and file URIs"},
		{Request{URI: "/no/such/file"}, "no such file or directory"},
		{Request{URI: dir}, "is not a regular file"},
		{Request{URI: "http://user:hunter2@127.0.0.1:1/app", Retry: 1}, "user:xxxxx@"},
	} {
		c.request.Dir = dir
		err := Fetch(t.Context(), c.request)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.request.URI, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is shown: %v", err)
		}
	}
	if left := tree(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestServerErrorsAreTriedAgain(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2: // Breaks off in the middle.
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("half"))
		default:
			w.Write([]byte("whole"))
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	if err := Fetch(t.Context(), Request{URI: server.URL + "/file", Dir: dir, Retry: 1}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"file 644 whole"}, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestStallAndCancellation(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("some"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	dir := t.TempDir()
	err := Fetch(t.Context(), Request{URI: server.URL + "/file", Dir: dir, Retry: 1, Stall: 10 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "stood still for 10ms") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := Fetch(ctx, Request{URI: server.URL + "/file", Dir: dir}); err == nil {
		t.Error("it was fetched")
	}
	if left := tree(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCacheFetchesOnce(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			w.WriteHeader(http.StatusNotFound) // A failure is not kept.
			return
		}
		w.Write([]byte("corpus"))
	}))
	defer server.Close()
	cache := filepath.Join(t.TempDir(), "cache")
	request := func() Request { return Request{URI: server.URL + "/corpus", Dir: t.TempDir(), Cache: cache} }
	if err := Fetch(t.Context(), request()); err == nil {
		t.Fatal("a 404 was fetched")
	}
	var wait sync.WaitGroup
	for range 5 {
		r := request()
		wait.Go(func() {
			if err := Fetch(t.Context(), r); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{"corpus 644 corpus"}, tree(t, r.Dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
	wait.Wait()
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	if kept := tree(t, cache); len(kept) != 1 {
		t.Errorf("the cache holds %v, want one copy", kept)
	}
}

// FuzzExtract unpacks any bytes as every kind of archive: nothing may appear
// outside, and it must come to an end.
func FuzzExtract(f *testing.F) {
	app := anApp(f)
	f.Add(app, uint8(tarred))
	f.Add(compressed(f, app, byGzip), uint8(tarGzip))
	f.Add(tarball(f, tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: ".."}, tar.Header{Name: "a/b", Typeflag: tar.TypeReg}), uint8(tarred))
	f.Add(tarball(f, tar.Header{Name: "../x", Typeflag: tar.TypeReg}), uint8(tarred))
	f.Add(tarball(f, tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "../../secret"}), uint8(tarred))
	f.Add(tarball(f, tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "../secret", Uid: 7}, tar.Header{Name: "a/", Typeflag: tar.TypeDir, Mode: 0o1777}), uint8(128+tarred))
	f.Add([]byte("PK\x05\x06"+strings.Repeat("\x00", 18)), uint8(zipped))
	f.Fuzz(func(t *testing.T, data []byte, k uint8) {
		outside := t.TempDir()
		dir := filepath.Join(outside, "sandbox")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "a.gz"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		whole := os.Geteuid() == 0 && k >= 128
		err = writer{root: root, whole: whole}.extract(ctx, "a.gz", kind(k%128%uint8(tarZstd+1)))
		if err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
		entries, err := os.ReadDir(outside)
		if err != nil || len(entries) != 2 {
			t.Fatalf("outside there is now %v (%v)", entries, err)
		}
		info, err := os.Stat(filepath.Join(outside, "secret"))
		if err != nil || info.Size() != 6 || info.Mode().Perm() != 0o600 || info.Sys().(*syscall.Stat_t).Nlink != 1 || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
			t.Fatalf("the secret was touched: %v (%v)", info, err)
		}
	})
}
