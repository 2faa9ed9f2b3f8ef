package task

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/fetch"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// FetchesOf lists what a task wants in its directory: first the URIs of its
// command, then the files of its settings. What depends on the machine (Dir,
// Owner, the place of the cache) is for the caller; Cache is set, to something,
// where a copy is to be kept.
func FetchesOf(task *mesos.TaskInfo, settings *tandemv1.TaskSettings, cache string) []fetch.Request {
	var all []fetch.Request
	for _, uri := range task.Command.GetURIs() {
		// Mesos unpacks all that it knows unless it is told not to, single
		// compressed files too.
		extract := uri.Extract == nil || *uri.Extract
		r := fetch.Request{URI: uri.Value, Name: uri.GetOutputFile(), Extract: &extract, Executable: uri.GetExecutable()}
		if uri.GetCache() {
			r.Cache = cache
		}
		all = append(all, r)
	}
	for _, f := range settings.GetFetch() {
		r := fetch.Request{
			URI: f.GetUri(), Name: f.GetDestPath(), Extract: f.Extract, Executable: f.GetExecutable(), SHA256: f.GetSha256(), RootFS: f.GetRootfs(),
		}
		if f.GetCache() {
			r.Cache = cache
		}
		all = append(all, r)
	}
	return all
}
