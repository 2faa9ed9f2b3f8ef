package files

import (
	_ "embed"
	"net/http"
	"net/url"
	"os"
	"path"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// What /files/browse shows to a browser, which asks for HTML by name: a directory, or
// the end of a file, which is followed. A real master's web UI has such pages of its
// own, made of the same endpoints.

//go:embed page/files.html
var pageText string

// pageData is what the template shows.
type pageData struct {
	Name    string
	Parents []entry
	Entries []entry // of a directory

	// File says that it is one; Read is where its bytes are.
	File           bool
	Size           int64
	Read, Download string
}

// entry is a file or directory. Without a link it cannot be seen.
type entry struct {
	Name, Link, Download string
	Dir                  bool
	Size                 uint64
	Changed, Mode, Owner string
}

func at(endpoint, name string) string { return "/files/" + endpoint + "?path=" + url.QueryEscape(name) }

// servePage shows what has that name, of which List has told what is in it.
func (f *Files) servePage(w http.ResponseWriter, r *http.Request, name string, infos []mesos.FileInfo) error {
	name, principal := path.Clean(name), wire.Principal(r)
	data := pageData{Name: path.Base(name), Parents: f.parents(name, principal)}
	file, err := f.resolve(name, principal)
	if err != nil {
		return err
	}
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
		data.File, data.Size, data.Read, data.Download = true, info.Size(), at("read", name), at("download", name)
	}
	for _, info := range infos {
		data.Entries = append(data.Entries, entryOf(info))
	}
	return f.page.Write(w, r, &data)
}

// parents are the directories above, with links to those that can be seen.
func (f *Files) parents(name, principal string) []entry {
	var above []entry
	for dir := path.Dir(name); dir != "/" && dir != "."; dir = path.Dir(dir) {
		e := entry{Name: path.Base(dir)}
		if _, err := f.resolve(dir, principal); err == nil {
			e.Link = at("browse", dir)
		}
		above = append([]entry{e}, above...)
	}
	return above
}

func entryOf(info mesos.FileInfo) entry {
	e := entry{
		Name: path.Base(info.Path), Size: info.GetSize_(), Mode: modeString(info.GetMode()), Owner: info.GetUID(),
		Changed: time.Unix(0, info.Mtime.GetNanoseconds()).Format(time.DateTime),
	}
	switch info.GetMode() & syscall.S_IFMT {
	case syscall.S_IFDIR:
		e.Dir, e.Link = true, at("browse", info.Path)
	case syscall.S_IFREG:
		e.Link, e.Download = at("browse", info.Path), at("download", info.Path)
	}
	return e
}
