// Package artifact keeps files for agents to fetch, and serves them: the
// executor's binary, and what people upload beside their jobs. A file's address
// contains the SHA-256 of its content, so that what is behind an address never
// changes, and the fetcher's cache on an agent never holds anything stale.
//
//	<directory>/<sha256>/<name>     a file, complete and checked
//	<directory>/.new-…              one that is being written, or was when the
//	                                process ended
//
// The package must never serve a file that is not what its address says, and
// never overwrite or remove one.
package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-mesos/tandem/pkg/durable"
	"github.com/tandem-mesos/tandem/pkg/jobspec"
)

// Prefix begins the path of every artifact's address.
const Prefix = "/artifacts/"

// unfinished begins the name of a file that is being written.
const unfinished = ".new-"

// Artifacts are the files of one scheduler. The methods may be called by any
// goroutine.
type Artifacts struct {
	dir  string
	base string
	// token is what the list is given for; empty for nobody.
	token string
}

// Open returns the artifacts in the directory, which is made when it is not
// there. Base is the scheduler's address as agents reach it, such as
// http://10.0.0.7:7070.
func Open(dir, base string) (*Artifacts, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of artifacts: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot look through the directory of artifacts: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), unfinished) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return nil, fmt.Errorf("cannot clean the directory of artifacts: %w", err)
		}
	}
	return &Artifacts{dir: dir, base: strings.TrimSuffix(base, "/")}, nil
}

// Base begins the address at which agents fetch a file.
func (a *Artifacts) Base() string { return a.base + Prefix }

// Find returns the URI by which jobs name the file, and false when there is no
// such file. The digest is 64 small hexadecimal digits.
func (a *Artifacts) Find(digest, name string) (uri string, ok bool) {
	path, err := a.path(digest, name)
	if err != nil {
		return "", false
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "", false
	}
	return jobspec.ArtifactURI(digest, name), true
}

// Put keeps what r holds, and returns the file's URI when it is durable. It
// fails, and keeps nothing, when the content has another digest. Putting a file
// again is harmless.
func (a *Artifacts) Put(digest, name string, r io.Reader) (uri string, err error) {
	path, err := a.path(digest, name)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(a.dir, unfinished)
	if err != nil {
		return "", fmt.Errorf("cannot keep the file: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, sum), r); err != nil {
		return "", fmt.Errorf("cannot keep the file: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		return "", fmt.Errorf("the file's content has the SHA-256 %s, not %s", got, digest)
	}
	// The directory entries must be durable before the URI is in a job.
	if err := errors.Join(f.Sync(), os.MkdirAll(filepath.Dir(path), 0o700), os.Rename(f.Name(), path),
		durable.SyncDir(filepath.Dir(path)), durable.SyncDir(a.dir)); err != nil {
		return "", fmt.Errorf("cannot keep the file: %w", err)
	}
	uri, ok := a.Find(digest, name)
	if !ok {
		return "", fmt.Errorf("cannot keep the file: something has removed it from %s", a.dir)
	}
	return uri, nil
}

// ServeHTTP serves a file to GET and HEAD, with its size, ranges and an ETag; and
// at Prefix itself the list of all, to those who Share lets.
func (a *Artifacts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "artifacts are read only", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == Prefix {
		a.list(w, r)
		return
	}
	digest, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	path, err := a.path(digest, name)
	if err != nil {
		http.Error(w, "no such artifact", http.StatusNotFound)
		return
	}
	f, err := os.Open(path)
	if err != nil {
		http.Error(w, "no such artifact", http.StatusNotFound)
		return
	}
	defer f.Close()
	h := w.Header()
	h.Set("ETag", `"`+digest+`"`)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	// What people upload must not become a page of the scheduler's own.
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, name, time.Time{}, f)
}

// path is where a file is kept. It fails for what is no digest or no plain name.
func (a *Artifacts) path(digest, name string) (string, error) {
	if b, err := hex.DecodeString(digest); err != nil || len(b) != sha256.Size || digest != strings.ToLower(digest) {
		return "", fmt.Errorf("%q is not a SHA-256 in 64 small hexadecimal digits", digest)
	}
	if name == "" || strings.ContainsAny(name, "/\x00") || !filepath.IsLocal(name) || name == "." {
		return "", fmt.Errorf("%q is not the name of a file", name)
	}
	return filepath.Join(a.dir, digest, name), nil
}
