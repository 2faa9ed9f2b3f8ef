package fetcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

// Options are what a Fetcher is made of. Names in parentheses are a real agent's
// flags.
type Options struct {
	// CacheDir gets the cached files, in a directory for each user; it is removed
	// at the start. (--fetcher_cache_dir)
	CacheDir string
	// CacheBytes bounds the cache. (--fetcher_cache_size)
	CacheBytes int64
	// FrameworksHome is where relative paths begin; empty means that there are
	// none. (--frameworks_home)
	FrameworksHome string
	// Stall ends a download that receives nothing. (--fetcher_stall_timeout)
	Stall time.Duration
	// Now tells the time for the lines of the log.
	Now func() time.Time
	// Logger takes what an operator should know.
	Logger logrus.FieldLogger
}

// Fetcher fetches for all containers of an agent. It is safe for concurrent use.
type Fetcher struct {
	options Options
	cache   cache
}

// New makes a fetcher with an empty cache.
func New(o Options) *Fetcher {
	f := &Fetcher{options: o, cache: newCache(o.CacheBytes)}
	f.Clear()
	return f
}

// Clear empties the cache, as the start of an agent does. Nothing may be fetched
// meanwhile.
func (f *Fetcher) Clear() {
	f.cache.clear()
	if err := os.RemoveAll(f.options.CacheDir); err != nil {
		f.options.Logger.WithError(err).Warn("cannot remove the fetcher's cache")
	}
}

// Stats counts what the fetcher has done.
type Stats struct {
	Succeeded, Failed     uint64
	CacheBytes, UsedBytes int64
}

// Stats returns the present numbers.
func (f *Fetcher) Stats() Stats { return f.cache.stats() }

// Order is what to fetch for one container.
type Order struct {
	// Container is the container's name, for the error.
	Container string
	URIs      []mesos.CommandInfo_URI
	// Sandbox is the directory to fetch into, and Owner whom all belongs to and
	// whose rights the fetcher has.
	Sandbox string
	Owner   sandbox.Owner
	// Log is the sandbox's stderr.
	Log *os.File
}

// KilledError says that fetching was ended from outside.
type KilledError struct{ text string }

func (e *KilledError) Error() string { return e.text }

// Fetch brings the URIs into the sandbox, and blocks until all are there, one
// cannot be had, or the context ends (*KilledError). The error has the words that
// a real agent puts into the tasks' updates; why a URI could not be fetched is in
// the log.
func (f *Fetcher) Fetch(ctx context.Context, o Order) error {
	err := f.fetch(ctx, o)
	f.cache.count(err == nil)
	return err
}

func (f *Fetcher) fetch(ctx context.Context, o Order) error {
	for _, uri := range o.URIs {
		if text := invalid(uri); text != "" {
			//lint:ignore ST1005 the words of a real agent, which travel on the wire
			return fmt.Errorf("Could not fetch: %s", text)
		}
	}
	if len(o.URIs) == 0 {
		return nil
	}
	p := &program{fetcher: f, order: o, cacheDir: filepath.Join(f.options.CacheDir, o.Owner.Name)}
	p.items = f.plan(ctx, o, p.cacheDir)
	err := p.run(ctx)
	f.settle(p.items, err == nil)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &KilledError{fmt.Sprintf("Failed to fetch all URIs for container '%s': terminated with signal Killed", o.Container)}
	}
	p.line('E', 615, "EXIT with status 1: %v", err)
	// The program that was to become the container's.
	fmt.Fprintln(o.Log, "Failed to synchronize with agent (it's probably exited)")
	//lint:ignore ST1005 the words of a real agent, which travel on the wire
	return fmt.Errorf("Failed to fetch all URIs for container '%s': exited with status 1", o.Container)
}

// item is one URI and the way it goes.
type item struct {
	uri    mesos.CommandInfo_URI
	action string
	// entry is its place in the cache; nil unless it goes through it.
	entry *entry
	// failed says why it does not though it was to.
	failed error
}

// What is done with an item (FetcherInfo.Item.Action).
const (
	bypassCache      = "BYPASS_CACHE"
	downloadAndCache = "DOWNLOAD_AND_CACHE"
	retrieve         = "RETRIEVE_FROM_CACHE"
)

// plan decides which items go through the cache, and waits until what others
// bring there is there.
func (f *Fetcher) plan(ctx context.Context, o Order, dir string) []item {
	var items []item
	made := map[string]*entry{}
	for _, uri := range o.URIs {
		i := item{uri: uri, action: bypassCache}
		if containsURI(items, uri) {
			continue // A real agent has a set of them.
		}
		if !uri.GetCache() {
			items = append(items, i)
			continue
		}
		if e := made[uri.Value]; e != nil {
			f.cache.refer(e)
			i.action, i.entry = downloadAndCache, e
			items = append(items, i)
			continue
		}
		e, fresh := f.cache.get(o.Owner.Name, dir, uri.Value)
		switch {
		case fresh:
			size, err := f.size(ctx, uri.Value)
			if err == nil {
				err = f.cache.claim(e, size)
			}
			if err != nil {
				f.cache.fail(e)
				i.failed = err
				break
			}
			made[uri.Value] = e
			i.action, i.entry = downloadAndCache, e
		case f.cache.wait(ctx, e):
			i.action, i.entry = retrieve, e
		default:
			f.cache.release(e)
			i.failed = errors.New("the other download failed")
		}
		if i.failed != nil {
			f.options.Logger.WithError(i.failed).WithField("uri", uri.Value).Warn("cannot fetch through the cache, and fetches directly")
		}
		items = append(items, i)
	}
	return items
}

func containsURI(items []item, uri mesos.CommandInfo_URI) bool {
	for _, i := range items {
		if i.uri.Equal(uri) {
			return true
		}
	}
	return false
}

// settle tells the cache how it went.
func (f *Fetcher) settle(items []item, succeeded bool) {
	for _, i := range items {
		if i.entry == nil {
			continue
		}
		f.cache.release(i.entry)
		if i.action != downloadAndCache {
			continue
		}
		if !succeeded {
			f.cache.fail(i.entry)
			continue
		}
		if err := f.cache.complete(i.entry); err != nil {
			f.options.Logger.WithError(err).WithField("uri", i.uri.Value).Warn("cannot keep a file in the fetcher's cache")
		}
	}
}

// invalid says why a URI cannot be fetched in the first place, or nothing.
func invalid(uri mesos.CommandInfo_URI) string {
	if _, err := basename(uri.Value); err != nil {
		return err.Error()
	}
	if uri.OutputFile == nil {
		return ""
	}
	switch {
	case *uri.OutputFile == "":
		return "URI output file path is empty"
	case strings.HasPrefix(*uri.OutputFile, "/"):
		return "URI output file must be within the sandbox directory"
	}
	return ""
}

// basename is the name that a URI gives its file: what follows the last slash,
// whatever it is.
func basename(uri string) (string, error) {
	if strings.ContainsAny(uri, "\\'\x00") {
		//lint:ignore ST1005 the words of a real agent
		return "", errors.New("Illegal characters in URI")
	}
	if at := strings.Index(uri, "://"); at > 1 {
		_, name, found := strings.Cut(uri[at+len("://"):], "/")
		if !found || name == "" {
			//lint:ignore ST1005 the words of a real agent
			return "", fmt.Errorf("Malformed URI (missing path): %s", uri)
		}
		return name[strings.LastIndex(name, "/")+1:], nil
	}
	return path.Base(uri), nil
}

// localPath is the path on this machine that a URI means; local is false if it
// means another.
func (f *Fetcher) localPath(uri string, line func(text string)) (name string, local bool, err error) {
	isFile := strings.HasPrefix(uri, "file://")
	if !isFile && strings.Contains(uri, "://") {
		return "", false, nil
	}
	name = strings.TrimPrefix(strings.TrimPrefix(uri, "file://"), "localhost")
	switch {
	case strings.HasPrefix(name, "/"):
	case isFile:
		//lint:ignore ST1005 the words of a real agent
		err = errors.New("File URI only supports absolute paths")
	case f.options.FrameworksHome == "":
		//lint:ignore ST1005 the words of a real agent
		err = errors.New("A relative path was passed for the resource but the Mesos framework home was not specified. " +
			"Please either provide this config option or avoid using a relative path")
	default:
		name = filepath.Join(f.options.FrameworksHome, name)
		line("Prepended Mesos frameworks home to relative path, making it: '" + name + "'")
	}
	return name, true, err
}

// size is how much room a URI needs in the cache.
func (f *Fetcher) size(ctx context.Context, uri string) (int64, error) {
	name, local, err := f.localPath(uri, func(string) {})
	if err != nil {
		return 0, err
	}
	if !local {
		return contentLength(ctx, uri)
	}
	info, err := os.Stat(name)
	if err != nil {
		return 0, fmt.Errorf("could not determine the size: %w", err)
	}
	return info.Size(), nil
}
