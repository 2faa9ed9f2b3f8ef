package fetcher_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/fetcher"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

// world is a fetcher, a site to fetch from, and the same files on the machine.
type world struct {
	t       *testing.T
	fetcher *fetcher.Fetcher
	cache   string
	files   string
	site    *httptest.Server
	asked   []string
}

func newWorld(t *testing.T, change func(*fetcher.Options)) *world {
	t.Helper()
	w := &world{t: t, files: t.TempDir(), cache: filepath.Join(t.TempDir(), "fetch")}
	w.site = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.asked = append(w.asked, r.Method+" "+r.URL.Path)
		if r.URL.Path == "/silent" {
			out.WriteHeader(http.StatusOK)
			out.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		http.ServeFile(out, r, filepath.Join(w.files, r.URL.Path))
	}))
	t.Cleanup(w.site.Close)
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	o := fetcher.Options{CacheDir: w.cache, CacheBytes: 1 << 20, Stall: time.Minute, Now: time.Now, Logger: silent}
	if change != nil {
		change(&o)
	}
	w.fetcher = fetcher.New(o)
	for name, content := range map[string][]byte{
		"words": []byte("some words"), "more": []byte("more words!"), "run.sh": []byte("#!/bin/sh\n"),
		"a.tar": tarOf("d/in", "../up"), "good.tar": tarOf("d/in"), "a.tar.gz": gzipped(tarOf("d/in")),
		"gzip-in.tar": gzipped(tarOf("d/in")), "a.zip": zipOf("d/in"), "zip-in.tgz": zipOf("d/in"),
		"zstd-in.tar": zstded(tarOf("d/in")), "words.gz": gzipped([]byte("some words")),
		"bad.gz": []byte("some words"), "bad.txz": []byte("some words"), "empty.tar": nil,
	} {
		if err := os.WriteFile(filepath.Join(w.files, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func tarOf(names ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 4})
		_, _ = w.Write([]byte("here"))
	}
	_ = w.Close()
	return b.Bytes()
}

func zipOf(name string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, _ := w.Create(name)
	_, _ = f.Write([]byte("here"))
	_ = w.Close()
	return b.Bytes()
}

func gzipped(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

func zstded(content []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(content, nil)
}

// fetched is what became of one order.
type fetched struct {
	err   string
	log   []string
	files []string
}

var prefix = regexp.MustCompile(`^([IWEF])\d{8} \d\d:\d\d:\d\d\.\d{6} +\d+ `)

// fetch carries out an order in a new sandbox. SITE and DIR in URIs stand for the
// site and the files, and in what is returned also BOX and CACHE for directories.
func (w *world) fetch(uris ...mesos.CommandInfo_URI) fetched {
	w.t.Helper()
	return w.fetchWithin(context.Background(), uris...)
}

func (w *world) fetchWithin(ctx context.Context, uris ...mesos.CommandInfo_URI) fetched {
	w.t.Helper()
	box := w.t.TempDir()
	log, err := os.OpenFile(filepath.Join(w.t.TempDir(), "stderr"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	for i := range uris {
		uris[i].Value = strings.NewReplacer("SITE", w.site.URL, "DIR", w.files).Replace(uris[i].Value)
	}
	var out fetched
	if err := w.fetcher.Fetch(ctx, fetcher.Order{
		Container: "c1", URIs: uris, Sandbox: box, Owner: sandbox.Owner{Name: "me"}, Log: log,
	}); err != nil {
		out.err = err.Error()
	}
	text, err := os.ReadFile(log.Name())
	if err != nil {
		w.t.Fatal(err)
	}
	names := strings.NewReplacer(w.site.URL, "SITE", w.files, "DIR", box, "BOX", w.cache, "CACHE")
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(names.Replace(prefix.ReplaceAllString(line, "$1 ")), "\n")
		if line != "" && !strings.Contains(line, "Fetcher Info: ") {
			out.log = append(out.log, line)
		}
	}
	err = filepath.WalkDir(box, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		content, _ := os.ReadFile(path)
		name, _ := filepath.Rel(box, path)
		out.files = append(out.files, fmt.Sprintf("%v %s %q", info.Mode(), name, content))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

const failed = "Failed to fetch all URIs for container 'c1': exited with status 1"

// TestWhatTheLogSays holds the lines of a real agent's fetcher for the same URIs.
func TestWhatTheLogSays(t *testing.T) {
	yes, no := true, false
	cannot := func(value, why string) string {
		return "E fetcher.cpp:615] EXIT with status 1: Failed to fetch '" + value + "': " + why
	}
	const helper = "Failed to synchronize with agent (it's probably exited)"
	begins := func(value string) []string {
		return []string{
			"I fetcher.cpp:459] Fetching URI '" + value + "'",
			"I fetcher.cpp:290] Fetching '" + value + "' directly into the sandbox directory",
		}
	}
	ends := func(value, name string) []string {
		return []string{
			"I fetcher.cpp:618] Fetched '" + value + "' to 'BOX/" + name + "'",
			"I fetcher.cpp:623] Successfully fetched all URIs into 'BOX'",
		}
	}
	copies := func(value string) string {
		return "W fetcher.cpp:332] Copying instead of extracting resource from URI with 'extract' flag, because it does not seem to be an archive: " + value
	}
	for _, c := range []struct {
		name string
		uri  mesos.CommandInfo_URI
		want fetched
	}{
		{
			"by http", mesos.CommandInfo_URI{Value: "SITE/words"},
			fetched{log: slices.Concat(begins("SITE/words"), []string{
				"I fetcher.cpp:175] Downloading resource from 'SITE/words' to 'BOX/words'", copies("SITE/words"),
			}, ends("SITE/words", "words")), files: []string{`-rw-r--r-- words "some words"`}},
		},
		{
			"the query is part of the name", mesos.CommandInfo_URI{Value: "SITE/words?a=b", Extract: &no},
			fetched{log: slices.Concat(begins("SITE/words?a=b"), []string{
				"I fetcher.cpp:175] Downloading resource from 'SITE/words?a=b' to 'BOX/words?a=b'",
			}, ends("SITE/words?a=b", "words?a=b")), files: []string{`-rw-r--r-- words?a=b "some words"`}},
		},
		{
			"not found", mesos.CommandInfo_URI{Value: "SITE/nope"},
			fetched{err: failed, log: slices.Concat(begins("SITE/nope"), []string{
				"I fetcher.cpp:175] Downloading resource from 'SITE/nope' to 'BOX/nope'",
				cannot("SITE/nope", "Error downloading resource, received HTTP return code 404"), helper,
			}), files: []string{`-rw-r--r-- nope "404 page not found\n"`}},
		},
		{
			"nobody listens", mesos.CommandInfo_URI{Value: "http://127.0.0.1:1/x"},
			fetched{err: failed, log: slices.Concat(begins("http://127.0.0.1:1/x"), []string{
				"I fetcher.cpp:175] Downloading resource from 'http://127.0.0.1:1/x' to 'BOX/x'",
				cannot("http://127.0.0.1:1/x", "Error downloading resource: Couldn't connect to server"), helper,
			}), files: []string{`-rw-r--r-- x ""`}},
		},
		{
			"a scheme for Hadoop", mesos.CommandInfo_URI{Value: "hdfs://h/x"},
			fetched{err: failed, log: append(begins("hdfs://h/x"),
				cannot("hdfs://h/x", "Failed to create HDFS client: Hadoop client is not available, exit status: 32512"), helper)},
		},
		{
			"a relative path", mesos.CommandInfo_URI{Value: "a/b"},
			fetched{err: failed, log: append(begins("a/b"), cannot("a/b", "A relative path was passed for the resource but the "+
				"Mesos framework home was not specified. Please either provide this config option or avoid using a relative path"), helper)},
		},
		{
			"no such file", mesos.CommandInfo_URI{Value: "file:///nope"},
			fetched{err: failed, log: append(begins("file:///nope"),
				"cp: cannot stat '/nope': No such file or directory", cannot("file:///nope", "cp failed with status: 256"), helper)},
		},
		{
			"a directory", mesos.CommandInfo_URI{Value: "DIR"},
			fetched{err: failed, log: append(begins("DIR"), cannot("DIR", "`source` was a directory"), helper)},
		},
		{
			"no path", mesos.CommandInfo_URI{Value: "http://host"},
			fetched{err: "Could not fetch: Malformed URI (missing path): http://host"},
		},
		{
			"odd characters", mesos.CommandInfo_URI{Value: "http://h/a'b"},
			fetched{err: "Could not fetch: Illegal characters in URI"},
		},
		{
			"an absolute output file", mesos.CommandInfo_URI{Value: "SITE/words", OutputFile: new("/x")},
			fetched{err: "Could not fetch: URI output file must be within the sandbox directory"},
		},
		{
			"an empty output file", mesos.CommandInfo_URI{Value: "SITE/words", OutputFile: new("")},
			fetched{err: "Could not fetch: URI output file path is empty"},
		},
		{
			"an output file below", mesos.CommandInfo_URI{Value: "file://localhostDIR/words", OutputFile: new("a/b/c"), Executable: &yes},
			fetched{
				log:   append(begins("file://localhostDIR/words"), ends("file://localhostDIR/words", "a/b/c")...),
				files: []string{`-rwxr-xr-x a/b/c "some words"`},
			},
		},
		{
			"a single file", mesos.CommandInfo_URI{Value: "DIR/words.gz"},
			fetched{log: slices.Concat(begins("DIR/words.gz"), []string{"I fetcher.cpp:132] Extracted 'BOX/words.gz' into 'BOX'"},
				ends("DIR/words.gz", "words.gz")), files: []string{`-rw-r--r-- words "some words"`, gz("words.gz", "some words")}},
		},
		{
			"not what its name says", mesos.CommandInfo_URI{Value: "DIR/bad.txz"},
			fetched{err: failed, log: append(begins("DIR/bad.txz"), cannot("DIR/bad.txz",
				"Failed to extract archive 'BOX/bad.txz' to 'BOX': Failed to read archive header: Unrecognized archive format"), helper),
				files: []string{`-rw-r--r-- bad.txz "some words"`}},
		},
		{
			"a single file that is none", mesos.CommandInfo_URI{Value: "DIR/bad.gz"},
			fetched{err: failed, log: append(begins("DIR/bad.gz"), "gzip: stdin: not in gzip format", cannot("DIR/bad.gz",
				"Failed to extract 'BOX/bad.gz': 'gunzip -d -c' failed: exited with status 1"), helper),
				files: []string{`-rw-r--r-- bad ""`, `-rw-r--r-- bad.gz "some words"`}},
		},
		{
			"an archive that leaves the sandbox", mesos.CommandInfo_URI{Value: "DIR/a.tar"},
			fetched{err: failed, log: append(begins("DIR/a.tar"), cannot("DIR/a.tar",
				"Failed to extract archive 'BOX/a.tar' to 'BOX': Failed to write archive header: Path contains '..'"), helper),
				files: []string{fmt.Sprintf("-rw-r--r-- a.tar %q", tarOf("d/in", "../up")), `-rw-r--r-- d/in "here"`}},
		},
		{
			"an empty archive", mesos.CommandInfo_URI{Value: "DIR/empty.tar"},
			fetched{log: append(begins("DIR/empty.tar"), ends("DIR/empty.tar", "empty.tar")...), files: []string{`-rw-r--r-- empty.tar ""`}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := newWorld(t, nil).fetch(c.uri)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(fetched{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func gz(name, content string) string {
	return fmt.Sprintf("-rw-r--r-- %s %q", name, gzipped([]byte(content)))
}

func TestArchivesAreWhatTheirContentIs(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{"good.tar", "a.tar.gz", "gzip-in.tar", "zstd-in.tar", "a.zip", "zip-in.tgz"} {
		got := w.fetch(mesos.CommandInfo_URI{Value: "DIR/" + name})
		if got.err != "" || !slices.ContainsFunc(got.files, func(f string) bool { return strings.HasSuffix(f, ` d/in "here"`) }) {
			t.Errorf("%s was not unpacked: %+v", name, got)
		}
	}
}

func TestFrameworksHome(t *testing.T) {
	home := t.TempDir()
	w := newWorld(t, func(o *fetcher.Options) { o.FrameworksHome = home })
	if err := os.WriteFile(filepath.Join(home, "x"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := w.fetch(mesos.CommandInfo_URI{Value: "x"})
	want := "I fetcher.cpp:215] Prepended Mesos frameworks home to relative path, making it: '" + home + "/x'"
	if got.err != "" || !slices.Contains(got.log, want) {
		t.Errorf("got %+v, want the line %q", got, want)
	}
}

func TestCache(t *testing.T) {
	w := newWorld(t, nil)
	yes := true
	words := mesos.CommandInfo_URI{Value: "SITE/words", Cache: &yes}
	first, second := w.fetch(words), w.fetch(words)
	if diff := cmp.Diff([]string{"HEAD /words", "GET /words"}, w.asked); diff != "" {
		t.Errorf("the site was asked otherwise (-want +got):\n%s", diff)
	}
	const copies = "W fetcher.cpp:394] Copying instead of extracting resource from URI with 'extract' flag, because it does not seem to be an archive: SITE/words"
	want := []string{
		"I fetcher.cpp:459] Fetching URI 'SITE/words'",
		"I fetcher.cpp:175] Downloading resource from 'SITE/words' to 'CACHE/me/c1-words'",
		"I fetcher.cpp:349] Fetching URI 'SITE/words' from cache", copies,
		"I fetcher.cpp:618] Fetched 'SITE/words' to 'BOX/words'",
		"I fetcher.cpp:623] Successfully fetched all URIs into 'BOX'",
	}
	if diff := cmp.Diff(want, first.log); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(slices.Delete(want, 1, 2), second.log); diff != "" {
		t.Errorf("second (-want +got):\n%s", diff)
	}
	// An archive is unpacked from where it lies.
	got := w.fetch(mesos.CommandInfo_URI{Value: "SITE/a.zip", Cache: &yes})
	if diff := cmp.Diff([]string{`-rw-r--r-- d/in "here"`}, got.files); diff != "" {
		t.Errorf("an archive from the cache (-want +got):\n%s", diff)
	}
	if s := w.fetcher.Stats(); s.Succeeded != 3 || s.UsedBytes != int64(len("some words")+len(zipOf("d/in"))) {
		t.Errorf("%+v", s)
	}
	w.fetcher.Clear()
	if _, err := os.Stat(w.cache); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cache is still there: %v", err)
	}
}

// TestCacheEvicts has room for one file at a time.
func TestCacheEvicts(t *testing.T) {
	w := newWorld(t, func(o *fetcher.Options) { o.CacheBytes = 15 })
	yes := true
	cached := func() []string {
		files, err := filepath.Glob(filepath.Join(w.cache, "me", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range files {
			files[i] = filepath.Base(files[i])
		}
		return files
	}
	for _, c := range []struct {
		name string
		want []string
	}{
		{"words", []string{"c1-words"}},
		{"more", []string{"c2-more"}},
		// What finds no room goes past the cache.
		{"good.tar", []string{"c2-more"}},
	} {
		if got := w.fetch(mesos.CommandInfo_URI{Value: "SITE/" + c.name, Cache: &yes}); got.err != "" {
			t.Fatalf("%+v", got)
		}
		if diff := cmp.Diff(c.want, cached()); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", c.name, diff)
		}
	}
	// What fails leaves nothing.
	if got := w.fetch(mesos.CommandInfo_URI{Value: "SITE/nope", Cache: &yes}); got.err != failed || len(cached()) != 1 {
		t.Errorf("%+v", got)
	}
	if s := w.fetcher.Stats(); s.UsedBytes > 15 || s.Failed != 1 || s.Succeeded != 3 {
		t.Errorf("%+v", s)
	}
}

func TestKilledAndStalled(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got := w.fetchWithin(ctx, mesos.CommandInfo_URI{Value: "SITE/silent"})
	if want := "Failed to fetch all URIs for container 'c1': terminated with signal Killed"; got.err != want {
		t.Errorf("%q, want %q", got.err, want)
	}
	w = newWorld(t, func(o *fetcher.Options) { o.Stall = 10 * time.Millisecond })
	got = w.fetch(mesos.CommandInfo_URI{Value: "SITE/silent"})
	want := "E fetcher.cpp:615] EXIT with status 1: Failed to fetch 'SITE/silent': Error downloading resource: Timeout was reached"
	if got.err != failed || !slices.Contains(got.log, want) {
		t.Errorf("%+v", got)
	}
}
