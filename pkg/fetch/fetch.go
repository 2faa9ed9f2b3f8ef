// Package fetch brings files into a directory: by http, https or from the local
// file system, checked against a SHA-256, through a cache, unpacked, made
// executable.
//
// Whatever an archive or a name says, it writes nothing outside the directory
// that it is given, follows no symbolic link out of it, and makes no device
// nodes. A file appears under its name only when it is complete.
package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Request is one file to fetch.
type Request struct {
	// URI is http, https or file, or an absolute path. Required.
	URI string
	// Dir is an existing directory to put the file in. Required.
	Dir string
	// Name is the file's path below Dir; missing directories are made. Default:
	// the last part of the URI's path.
	Name string
	// Extract unpacks the file, beside itself, if its name ends as an archive's
	// does; the file stays. Nil means that as well, except for a single
	// compressed file (.gz).
	Extract *bool
	// RootFS says that the file is a tar archive of a root file system: what is
	// unpacked keeps its owners and sticky bits, devices are left out, and the
	// archive is removed then. It takes root.
	RootFS bool
	// Executable sets the executable bits; such a file is never unpacked.
	Executable bool
	// SHA256 is what the file's content must have, in hexadecimal digits. Empty
	// means that it is not checked.
	SHA256 string
	// Cache is a directory for copies of what is fetched, which is made when it
	// is missing. A copy serves every later request with the same URI and
	// SHA256. Empty means no cache.
	Cache string
	// Owner gets all that is made, and must be allowed to read what is taken
	// from the local file system. Nil means the present user.
	Owner *Owner
	// Client performs HTTP requests. Default: one that gives up on a server
	// that does not answer within 30 seconds.
	Client *http.Client
	// Stall is how long the transfer may stand still. Default: 1 minute.
	Stall time.Duration
	// Retry is the wait after a failure that may pass (no connection, a status
	// of 5xx); it is four times as long after the second. There are three
	// tries. Default: 500 milliseconds.
	Retry time.Duration
}

// Owner is the user that files are for.
type Owner struct {
	UID, GID int
	// Groups are the supplementary groups.
	Groups []int
}

func (r Request) validate() (Request, source, error) {
	var src source
	if r.Dir == "" {
		return r, src, errors.New("no directory to put it in")
	}
	src, err := parse(r.URI)
	if err != nil {
		return r, src, err
	}
	if r.Name == "" {
		r.Name = path.Base(src.path)
		if r.Name == "/" || r.Name == "." {
			return r, src, errors.New("its URI has no last part to name it by: give it a name")
		}
	}
	if !filepath.IsLocal(r.Name) {
		return r, src, fmt.Errorf("the name %q leaves the directory", r.Name)
	}
	if r.RootFS {
		if k := kindOf(r.Name); k < tarred || r.Executable || r.Extract != nil && !*r.Extract {
			return r, src, fmt.Errorf("%s is no tar archive to be unpacked by its name, as one of a root file system must be", r.Name)
		}
		if os.Geteuid() != 0 {
			return r, src, errors.New("only root can unpack a root file system with its owners")
		}
	}
	if r.SHA256 != "" {
		r.SHA256 = strings.ToLower(r.SHA256)
		if sum, err := hex.DecodeString(r.SHA256); err != nil || len(sum) != sha256.Size {
			return r, src, fmt.Errorf("%q is no SHA-256: it must have 64 hexadecimal digits", r.SHA256)
		}
	}
	if r.Client == nil {
		r.Client = defaultClient()
	}
	if r.Stall <= 0 {
		r.Stall = time.Minute
	}
	if r.Retry <= 0 {
		r.Retry = 500 * time.Millisecond
	}
	return r, src, nil
}

func defaultClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		ResponseHeaderTimeout: 30 * time.Second,
		TLSHandshakeTimeout:   30 * time.Second,
		DisableCompression:    true, // What is named x.gz must arrive as such.
		DisableKeepAlives:     true,
	}}
}

// source is where a file comes from.
type source struct {
	url  *url.URL // nil for the local file system
	path string
}

func parse(uri string) (source, error) {
	if filepath.IsAbs(uri) {
		return source{path: filepath.Clean(uri)}, nil
	}
	u, err := url.Parse(uri)
	if err != nil {
		return source{}, fmt.Errorf("not a URI: %w", err)
	}
	switch {
	case u.Scheme == "http" || u.Scheme == "https":
		if u.Host == "" {
			return source{}, errors.New("the URI names no host")
		}
		return source{url: u, path: path.Clean("/" + u.Path)}, nil
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") && filepath.IsAbs(u.Path):
		return source{path: filepath.Clean(u.Path)}, nil
	default:
		return source{}, errors.New("only http, https and file URIs and absolute paths can be fetched")
	}
}

// Fetch brings one file. It blocks until the file is there, and unpacked, or
// cannot be had; the error is one line that names the URI. A part of an
// archive may be left behind by a failure.
func Fetch(ctx context.Context, r Request) error {
	if err := fetch(ctx, r); err != nil {
		return fmt.Errorf("cannot fetch %s: %w", redact(r.URI), err)
	}
	return nil
}

func fetch(ctx context.Context, r Request) error {
	r, src, err := r.validate()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(r.Dir)
	if err != nil {
		return fmt.Errorf("cannot open the directory: %w", err)
	}
	defer root.Close()
	w := writer{root: root, owner: r.Owner, whole: r.RootFS}

	name := filepath.ToSlash(filepath.Clean(r.Name))
	if err := w.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	if err := r.bring(ctx, src, w, name); err != nil {
		return err
	}
	if r.Executable {
		return w.release(name)
	}
	kind := kindOf(name)
	if kind == plain || (r.Extract != nil && !*r.Extract) || (r.Extract == nil && kind == single) {
		return nil
	}
	if err := w.extract(ctx, name, kind); err != nil {
		return fmt.Errorf("cannot unpack %s: %w", name, err)
	}
	if r.RootFS {
		return root.Remove(name)
	}
	return nil
}

// bring puts the file under its name, by way of the cache if there is one.
func (r Request) bring(ctx context.Context, src source, w writer, name string) error {
	mode := os.FileMode(0o644)
	if r.Executable {
		mode = 0o755
	}
	if r.Cache == "" {
		return w.put(name, mode, func(f *os.File) error { return r.read(ctx, src, f) })
	}
	cached, err := r.cached(ctx, src)
	if err != nil {
		return err
	}
	defer cached.Close()
	return w.put(name, mode, func(f *os.File) error {
		_, err := f.ReadFrom(cached)
		return err
	})
}

// redact takes a password out of a URI that is shown.
func redact(uri string) string {
	if u, err := url.Parse(uri); err == nil && u.User != nil {
		return u.Redacted()
	}
	return uri
}
