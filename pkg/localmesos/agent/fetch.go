package agent

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/fetch"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

// fetchAll brings a command's URIs into the sandbox, in order, and stops at the
// first that fails or when the context ends. What it does and why it failed is
// told in log, the sandbox's stderr, where people look for it; the lines are
// those of a real agent's fetcher (src/launcher/fetcher.cpp).
func (a *Agent) fetchAll(ctx context.Context, uris []mesos.CommandInfo_URI, dir string, owner sandbox.Owner, log io.Writer) error {
	for _, uri := range uris {
		fmt.Fprintf(log, "Fetching URI '%s'\n", uri.Value)
		extract := uri.GetExtract()
		request := fetch.Request{
			URI:        uri.Value,
			Dir:        dir,
			Name:       uri.GetOutputFile(),
			Extract:    &extract,
			Executable: uri.GetExecutable(),
			Stall:      a.options.FetcherStallTimeout,
			// A real agent's fetcher tries once; whoever wants more launches
			// again.
			Retry: time.Nanosecond,
		}
		if uri.GetCache() {
			// Kept apart for each user, as a real agent's is.
			request.Cache = filepath.Join(a.cacheDir(), owner.Name)
		}
		if c := owner.Credential; c != nil {
			request.Owner = &fetch.Owner{UID: int(c.Uid), GID: int(c.Gid)}
			for _, g := range c.Groups {
				request.Owner.Groups = append(request.Owner.Groups, int(g))
			}
		}
		if err := fetch.Fetch(ctx, request); err != nil {
			fmt.Fprintf(log, "Failed to fetch '%s': %v\n", uri.Value, err)
			return err
		}
		fmt.Fprintf(log, "Fetched '%s' to '%s'\n", uri.Value, dir)
	}
	if len(uris) > 0 {
		fmt.Fprintf(log, "Successfully fetched all URIs into '%s'\n", dir)
	}
	return nil
}

// cacheDir is where the fetcher's cache lies.
func (a *Agent) cacheDir() string { return filepath.Join(a.options.WorkDir, "fetch") }
