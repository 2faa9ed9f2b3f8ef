package fetcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// cache knows what is cached. A file is there for whoever is the same user and
// asks for the same URI. It is safe for concurrent use.
type cache struct {
	mu    sync.Mutex // guards what follows
	total int64
	used  int64
	// entries has the one that was not used for longest first.
	entries           []*entry
	serial            int
	succeeded, failed uint64
}

// entry is a cached file, or one that is on its way.
type entry struct {
	key, dir, file string
	// What follows is guarded by the cache's mu.
	size  int64
	users int
	ended bool
	whole bool          // it is there; read when done is closed
	done  chan struct{} // closed when it is there, or will not be
}

func (e *entry) path() string { return filepath.Join(e.dir, e.file) }

func newCache(total int64) cache { return cache{total: total} }

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries, c.used, c.serial = nil, 0, 0
}

func (c *cache) count(succeeded bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if succeeded {
		c.succeeded++
	} else {
		c.failed++
	}
}

func (c *cache) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{Succeeded: c.succeeded, Failed: c.failed, CacheBytes: c.total, UsedBytes: c.used}
}

// get finds the entry of a user's URI, or makes a fresh one that the caller has
// to claim room for and to bring. It has a user more.
func (c *cache) get(user, dir, uri string) (e *entry, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := user + "@" + uri
	for i, e := range c.entries {
		if e.key == key {
			c.entries = append(slices.Delete(c.entries, i, i+1), e)
			e.users++
			return e, false
		}
	}
	c.serial++
	e = &entry{key: key, dir: dir, file: cachedName(c.serial, uri), users: 1, done: make(chan struct{})}
	c.entries = append(c.entries, e)
	return e, true
}

// cachedName tells people what a cached file is, and has its ending.
func cachedName(serial int, uri string) string {
	const longest, kept = 20, 10
	name, _ := basename(uri) // it was validated
	if len(name) > longest {
		name = name[:kept] + "_" + name[len(name)-kept:]
	}
	return fmt.Sprintf("c%d-%s", serial, name)
}

func (c *cache) refer(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users++
}

func (c *cache) release(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
}

// wait waits until an entry is there; it is false when it will not be.
func (c *cache) wait(ctx context.Context, e *entry) bool {
	select {
	case <-e.done:
		return e.whole
	case <-ctx.Done():
		return false
	}
}

// claim takes room for an entry, and removes what nobody uses if there is too
// little.
func (c *cache) claim(e *entry, size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.grow(e, size)
}

func (c *cache) grow(e *entry, by int64) error {
	missing := by - (c.total - c.used)
	var victims []*entry
	for _, other := range c.entries {
		if missing <= 0 {
			break
		}
		if other.users == 0 && other != e {
			victims = append(victims, other)
			missing -= other.size
		}
	}
	if missing > 0 {
		return errors.New("could not find enough cache files to evict")
	}
	for _, victim := range victims {
		if err := c.remove(victim); err != nil {
			return err
		}
	}
	c.used += by
	e.size += by
	return nil
}

// fail gives an entry up that does not come.
func (c *cache) fail(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.ended {
		return
	}
	e.ended = true
	close(e.done)
	// It may have begun to come, or not.
	_ = c.remove(e)
}

// complete says that an entry is there. The error says why it cannot stay.
func (c *cache) complete(e *entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.ended {
		return nil
	}
	info, err := os.Stat(e.path())
	if err == nil {
		err = c.grow(e, info.Size()-e.size)
	}
	e.ended, e.whole = true, err == nil
	close(e.done)
	if err != nil {
		return errors.Join(err, c.remove(e))
	}
	return nil
}

// remove takes an entry out; the caller holds mu.
func (c *cache) remove(e *entry) error {
	c.entries = slices.DeleteFunc(c.entries, func(other *entry) bool { return other == e })
	c.used -= e.size
	e.size = 0
	err := os.Remove(e.path())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
