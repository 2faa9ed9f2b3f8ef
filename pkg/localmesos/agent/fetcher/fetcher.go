// Package fetcher brings an executor's URIs into its sandbox, as a real agent's
// fetcher does (docs/fetcher.md and src/launcher/fetcher.cpp in the Mesos
// sources): over HTTP and HTTPS, and from files; unpacked unless the URI says
// otherwise; through a cache if it asks for one.
//
// What it does, and why it failed, goes to the sandbox's stderr, where people
// look for it. A path never leads out of the sandbox, whatever an archive or an
// output_file says.
package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Options are what a Fetcher is made of.
type Options struct {
	// CacheDir is where the cache lies; it is made when first needed.
	CacheDir string
	// StallTimeout ends a download that receives nothing for so long
	// (--fetcher_stall_timeout).
	StallTimeout time.Duration
	// Client makes the requests; nil means one of the fetcher's own.
	Client *http.Client
}

func (o Options) validate() error {
	if o.CacheDir == "" {
		return errors.New("no directory for the fetcher's cache is given")
	}
	if o.StallTimeout <= 0 {
		return errors.New("the fetcher's stall timeout is not positive")
	}
	return nil
}

// Fetcher fetches, and keeps the cache. It is safe for concurrent use.
type Fetcher struct {
	options Options

	mu    sync.Mutex
	cache map[cacheKey]*cached
	next  int
}

// New returns a fetcher with an empty cache.
func New(o Options) (*Fetcher, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Client == nil {
		// No timeout for the whole: an executor may be large, and the agent's
		// registration timeout ends a fetch that never does.
		o.Client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
	}
	return &Fetcher{options: o, cache: map[cacheKey]*cached{}}, nil
}

// Close closes idle connections.
func (f *Fetcher) Close() { f.options.Client.CloseIdleConnections() }

// Sandbox is where to put what is fetched.
type Sandbox struct {
	Dir string
	// User names the owner of the files; the cache is kept apart for each.
	User string
	// Own gives a file to that user; nil if that is the agent's own.
	Own func(path string) error
	// Log is the sandbox's stderr.
	Log io.Writer
}

// Fetch brings all URIs into the sandbox, in order, and stops at the first that
// fails or when the context ends. The error has been told in the log.
func (f *Fetcher) Fetch(ctx context.Context, uris []mesos.CommandInfo_URI, to Sandbox) error {
	if len(uris) == 0 {
		return nil
	}
	root, err := os.OpenRoot(to.Dir)
	if err != nil {
		return fmt.Errorf("cannot open the sandbox: %w", err)
	}
	defer root.Close()
	for _, uri := range uris {
		fmt.Fprintf(to.Log, "Fetching URI '%s'\n", uri.Value)
		if err := f.fetch(ctx, uri, to, root); err != nil {
			fmt.Fprintf(to.Log, "Failed to fetch '%s': %v\n", uri.Value, err)
			return err
		}
		fmt.Fprintf(to.Log, "Fetched '%s' to '%s'\n", uri.Value, to.Dir)
	}
	fmt.Fprintf(to.Log, "Successfully fetched all URIs into '%s'\n", to.Dir)
	return nil
}

func (f *Fetcher) fetch(ctx context.Context, uri mesos.CommandInfo_URI, to Sandbox, root *os.Root) error {
	name, err := outputName(uri)
	if err != nil {
		return err
	}
	s := sink{root: root, own: to.Own, dir: to.Dir}
	if err := s.mkdirAll(path.Dir(name)); err != nil {
		return fmt.Errorf("Unable to create subdirectory %s in sandbox: %w", path.Dir(name), err) //nolint:staticcheck // exact text
	}
	unpack := uri.GetExtract() && !uri.GetExecutable()
	if uri.GetCache() {
		source, err := f.cachedFile(ctx, uri.Value, to.User)
		if err != nil {
			return err
		}
		// From the cache an archive is unpacked without a copy of itself.
		if unpack {
			if done, err := extract(ctx, source, path.Base(name), s); done || err != nil {
				return err
			}
		}
		return copyFile(source, name, mode(uri), s)
	}
	w, err := s.create(name, mode(uri))
	if err != nil {
		return err
	}
	if err := errors.Join(f.download(ctx, uri.Value, w), w.Close()); err != nil {
		return err
	}
	if unpack {
		_, err = extract(ctx, filepath.Join(to.Dir, name), path.Base(name), s)
	}
	return err
}

func mode(uri mesos.CommandInfo_URI) fs.FileMode {
	if uri.GetExecutable() {
		return 0o755
	}
	return 0o644
}

// outputName is the file's name in the sandbox.
func outputName(uri mesos.CommandInfo_URI) (string, error) {
	if uri.OutputFile != nil {
		name := path.Clean(uri.GetOutputFile())
		if !filepath.IsLocal(name) || name == "." {
			return "", fmt.Errorf("the output file '%s' is not within the sandbox", uri.GetOutputFile())
		}
		return name, nil
	}
	value := strings.TrimSpace(uri.Value)
	if scheme, rest, ok := strings.Cut(value, "://"); ok && scheme != "" {
		_, value, ok = strings.Cut(rest, "/")
		if scheme == "file" {
			value = rest
		} else if !ok {
			return "", fmt.Errorf("Malformed URI (missing path): %s", uri.Value) //nolint:staticcheck // exact text
		}
		value, _, _ = strings.Cut(value, "?")
	}
	name := path.Base(value)
	if name == "." || name == "/" || name == ".." {
		return "", fmt.Errorf("Malformed URI (missing path): %s", uri.Value) //nolint:staticcheck // exact text
	}
	return name, nil
}

// download writes what a URI holds.
func (f *Fetcher) download(ctx context.Context, uri string, w io.Writer) error {
	uri = strings.TrimLeft(uri, " \t\n")
	scheme, _, hasScheme := strings.Cut(uri, "://")
	switch {
	case hasScheme && (scheme == "http" || scheme == "https"):
		return f.downloadHTTP(ctx, uri, w)
	case hasScheme && scheme == "file":
		return copyFrom(strings.TrimPrefix(uri, "file://"), w)
	case hasScheme:
		return fmt.Errorf("no fetcher is known for the scheme '%s'; use http, https or file", scheme)
	case !strings.HasPrefix(uri, "/"):
		return fmt.Errorf("A relative path was passed for the resource but the Mesos framework home was not specified. Please either provide this config option or avoid using a relative path") //nolint:staticcheck // exact text
	default:
		return copyFrom(uri, w)
	}
}

func copyFrom(file string, w io.Writer) error {
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

func (f *Fetcher) downloadHTTP(ctx context.Context, uri string, w io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(f.options.StallTimeout, func() {
		cancel(fmt.Errorf("nothing was received for %v", f.options.StallTimeout))
	})
	defer stalled.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return err
	}
	response, err := f.options.Client.Do(request)
	if err != nil {
		return downloadError(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("Error downloading resource, received HTTP return code %d", response.StatusCode) //nolint:staticcheck // exact text
	}
	_, err = io.Copy(w, progress{response.Body, func() { stalled.Reset(f.options.StallTimeout) }})
	if err != nil {
		return downloadError(ctx, err)
	}
	return nil
}

// downloadError words an error as curl does where that is known.
func downloadError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		if parsed, parseErr := url.Parse(u.URL); parseErr == nil && errors.Is(err, syscall.ECONNREFUSED) {
			err = fmt.Errorf("Failed to connect to %s port %s: Connection refused", parsed.Hostname(), port(parsed)) //nolint:staticcheck // exact text
		} else {
			err = u.Err
		}
	}
	return fmt.Errorf("Error downloading resource: %w", err) //nolint:staticcheck // exact text
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// progress is a reader that tells of each read that brought something.
type progress struct {
	io.Reader
	made func()
}

func (p progress) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if n > 0 {
		p.made()
	}
	return n, err
}
