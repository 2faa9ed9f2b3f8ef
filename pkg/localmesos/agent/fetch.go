package agent

import (
	"context"
	"os"
	"path/filepath"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/fetcher"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

// fetchAll brings a command's URIs into a container's sandbox. The error is for
// the tasks' updates; log, the sandbox's stderr, has the rest.
func (a *Agent) fetchAll(ctx context.Context, container string, uris []mesos.CommandInfo_URI, dir string, owner sandbox.Owner, log *os.File) error {
	return a.fetcher.Fetch(ctx, fetcher.Order{Container: container, URIs: uris, Sandbox: dir, Owner: owner, Log: log})
}

// cacheDir is where the fetcher's cache lies.
func (a *Agent) cacheDir() string { return filepath.Join(a.options.WorkDir, "fetch") }

func (a *Agent) newFetcher() *fetcher.Fetcher {
	return fetcher.New(fetcher.Options{
		CacheDir:       a.cacheDir(),
		CacheBytes:     a.options.FetcherCacheBytes,
		FrameworksHome: a.options.FrameworksHome,
		Stall:          a.options.FetcherStallTimeout,
		Now:            a.options.Clock.Now,
		Logger:         a.log,
	})
}
