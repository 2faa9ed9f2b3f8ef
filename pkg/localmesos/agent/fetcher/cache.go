package fetcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// cacheKey is what a cached file belongs to: a real agent, too, fetches a URI
// once for each user.
type cacheKey struct{ user, uri string }

// cached is a file in the cache, or on its way there.
type cached struct {
	file string
	done chan struct{} // closed when err is known
	err  error
}

// cachedFile returns a file of the cache, and fetches it first if it is not
// there. Those who want the same meanwhile wait for it. Nothing is ever taken
// out of the cache but with the agent's work directory.
func (f *Fetcher) cachedFile(ctx context.Context, uri, user string) (string, error) {
	key := cacheKey{user, uri}
	f.mu.Lock()
	c, found := f.cache[key]
	if !found {
		f.next++
		name, err := outputName(mesos.CommandInfo_URI{Value: uri})
		if err != nil {
			f.mu.Unlock()
			return "", err
		}
		c = &cached{
			file: filepath.Join(f.options.CacheDir, user, fmt.Sprintf("c%d-%s", f.next, path.Base(name))),
			done: make(chan struct{}),
		}
		f.cache[key] = c
	}
	f.mu.Unlock()
	if found {
		select {
		case <-c.done:
			return c.file, c.err
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	c.err = f.fill(ctx, uri, c.file)
	if c.err != nil {
		// The next one tries again.
		f.mu.Lock()
		delete(f.cache, key)
		f.mu.Unlock()
	}
	close(c.done)
	return c.file, c.err
}

func (f *Fetcher) fill(ctx context.Context, uri, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("cannot make the fetcher's cache: %w", err)
	}
	w, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("cannot make a file in the fetcher's cache: %w", err)
	}
	if err := errors.Join(f.download(ctx, uri, w), w.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}
