// Package reload has files read anew when they change, or when somebody asks for
// it, while the program runs.
//
// It must never end the program for a file that has become wrong: what was read
// last goes on to hold, and the log says so.
package reload

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

// Source is something that is read from files.
type Source struct {
	// Name says what it is, for the log.
	Name string
	// Paths are the files. Without any it is read anew only when asked for.
	Paths []string
	// Load reads it anew.
	Load func() error
}

// Options are what a Watcher is made of.
type Options struct {
	Sources []Source
	// Every is how often the files are looked at. Default: 5 seconds.
	Every time.Duration
	// Now asks for everything to be read anew, whether or not it has changed. Nil
	// never does.
	Now <-chan struct{}
	Log logrus.FieldLogger
}

// Watcher looks after sources.
type Watcher struct {
	opt  Options
	seen []string
}

// New returns a watcher of sources that have just been read.
func New(opt Options) *Watcher {
	if opt.Every == 0 {
		opt.Every = 5 * time.Second
	}
	w := &Watcher{opt: opt}
	for _, s := range opt.Sources {
		w.seen = append(w.seen, state(s.Paths))
	}
	return w
}

// Run reads sources anew until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	tick := time.NewTicker(w.opt.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.opt.Now:
			w.look(true)
		case <-tick.C:
			w.look(false)
		}
	}
}

// look reads what has changed, or everything.
func (w *Watcher) look(all bool) {
	for i, s := range w.opt.Sources {
		now := state(s.Paths)
		if !all && now == w.seen[i] {
			continue
		}
		// A file that is wrong is not read again before it changes.
		w.seen[i] = now
		if err := s.Load(); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				w.opt.Log.Errorf("what was read before goes on to hold: %s", line)
			}
			continue
		}
		w.opt.Log.Infof("read %s anew", s.Name)
	}
}

// state tells files from what they were: links are followed, so that it also
// changes when another file takes the place of one.
func state(paths []string) string {
	var b strings.Builder
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			b.WriteString("none;")
			continue
		}
		fmt.Fprint(&b, info.ModTime().UnixNano(), info.Size())
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			fmt.Fprint(&b, " ", s.Ino, s.Ctim)
		}
		b.WriteString(";")
	}
	return b.String()
}
