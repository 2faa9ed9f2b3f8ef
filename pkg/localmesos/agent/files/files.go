// Package files serves the files endpoints: /files/browse, /files/read,
// /files/download and /files/debug, through which people and tools look into
// sandboxes. Only what was attached can be seen, whatever ".." or a link in it
// says (src/files/files.cpp in the Mesos sources).
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/page"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// maxRead is the most that one read returns: sixteen pages.
const maxRead = 16 * 4096

// Files maps names to files and directories. It is safe for concurrent use.
type Files struct {
	page     *page.Page
	mu       sync.Mutex
	attached map[string]attachment
}

// attachment is what is seen under a name, and by whom.
type attachment struct {
	real string
	may  func(principal string) bool // nil lets everybody
}

// New returns a Files with nothing attached.
func New() *Files { return &Files{page: page.Must(pageText), attached: map[string]attachment{}} }

// Attach lets a file or directory be seen under a name, which is a clean,
// absolute path, by the principals that may, which is called at any time; nil lets
// everybody.
func (f *Files) Attach(name, real string, may func(principal string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attached[name] = attachment{real, may}
}

// Detach forgets a name, if it still stands for the directory.
func (f *Files) Detach(name, real string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.attached[name].real == real {
		delete(f.attached, name)
	}
}

// Register adds the endpoints to a router. What guard makes of a handler serves
// it, and debug, by its path, what authorize makes of it.
func (f *Files) Register(rt *wire.Router, guard func(wire.Handler) wire.Handler, authorize func(path string, h wire.Handler) wire.Handler) {
	for name, h := range map[string]wire.Handler{
		"browse": f.browse, "read": f.read, "download": f.download, "debug": authorize("/files/debug", f.debug),
	} {
		rt.Handle("/files/"+name, guard(h))
	}
}

// resolve finds the file behind a name: the longest attached prefix decides.
func (f *Files) resolve(name, principal string) (string, error) {
	name = strings.TrimSuffix(name, "/")
	for prefix := name; prefix != ""; {
		f.mu.Lock()
		at, ok := f.attached[prefix]
		f.mu.Unlock()
		if ok && at.may != nil && !at.may(principal) {
			return "", errForbidden
		}
		if ok {
			return within(at.real, strings.TrimPrefix(name, prefix))
		}
		prefix = prefix[:max(strings.LastIndexByte(prefix, '/'), 0)]
	}
	return "", fs.ErrNotExist
}

// within joins a path to a root and refuses what is not below that in truth.
func within(root, rest string) (string, error) {
	asGiven := root + rest
	file, err := filepath.EvalSymlinks(asGiven)
	if err != nil {
		return "", fs.ErrNotExist
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", fs.ErrNotExist
	}
	if file != root && !strings.HasPrefix(file, root+"/") {
		return "", wire.BadRequest("'%s' is inaccessible.\n", asGiven)
	}
	return file, nil
}

// asked returns the name that a request is about.
func asked(r *http.Request) (string, error) {
	name := r.URL.Query().Get("path")
	if name == "" {
		return "", wire.BadRequest("Expecting 'path=value' in query.\n")
	}
	return name, nil
}

// errForbidden is the answer to those who may not look into a sandbox.
var errForbidden = &wire.Error{Status: http.StatusForbidden}

// notFound is the answer for names behind which there is nothing.
func notFound() error { return &wire.Error{Status: http.StatusNotFound} }

// List returns what is in the directory of that name, and nothing for a file.
// The error is an answer, as those of all methods here.
func (f *Files) List(name, principal string) ([]mesos.FileInfo, error) {
	dir, err := f.resolve(name, principal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound()
	}
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", name, err)
	}
	var infos []mesos.FileInfo
	for _, e := range entries {
		// Of a link, what it leads to is told.
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // it went away meanwhile, or leads nowhere
		}
		infos = append(infos, describe(path.Join(name, e.Name()), info))
	}
	return infos, nil
}

func describe(name string, info fs.FileInfo) mesos.FileInfo {
	stat, _ := info.Sys().(*syscall.Stat_t)
	if stat == nil {
		stat = &syscall.Stat_t{}
	}
	links, size, mode := int32(stat.Nlink), uint64(info.Size()), stat.Mode
	owner, group := userName(stat.Uid), groupName(stat.Gid)
	return mesos.FileInfo{
		Path: name, Nlink: &links, Size_: &size, Mode: &mode, UID: &owner, GID: &group,
		Mtime: &mesos.TimeInfo{Nanoseconds: info.ModTime().Unix() * 1e9},
	}
}

func (f *Files) browse(w http.ResponseWriter, r *http.Request) error {
	name, err := asked(r)
	if err != nil {
		return err
	}
	infos, err := f.List(name, wire.Principal(r))
	if err != nil {
		return err
	}
	if page.Wanted(r) {
		return f.servePage(w, r, name, infos)
	}
	out := &wire.Writer{}
	out.BeginArray()
	for _, info := range infos {
		writeInfo(out, info)
	}
	out.EndArray()
	wire.WriteJSON(w, r, out.Bytes())
	return nil
}

func writeInfo(out *wire.Writer, info mesos.FileInfo) {
	out.BeginObject()
	out.Key("gid")
	out.String(info.GetGID())
	out.Key("mode")
	out.String(modeString(info.GetMode()))
	out.Key("mtime")
	out.Double(float64(info.Mtime.Nanoseconds) / 1e9)
	out.Key("nlink")
	out.Int(int64(info.GetNlink()))
	out.Key("path")
	out.String(info.Path)
	out.Key("size")
	out.Uint(info.GetSize_())
	out.Key("uid")
	out.String(info.GetUID())
	out.EndObject()
}

// modeString writes a mode as ls does.
func modeString(mode uint32) string {
	kind := "-"
	switch mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		kind = "d"
	case syscall.S_IFLNK:
		kind = "l"
	case syscall.S_IFIFO:
		kind = "p"
	case syscall.S_IFSOCK:
		kind = "s"
	case syscall.S_IFCHR:
		kind = "c"
	case syscall.S_IFBLK:
		kind = "b"
	}
	return kind + fs.FileMode(mode & 0o777).String()[1:]
}

func userName(id uint32) string {
	text := strconv.FormatUint(uint64(id), 10)
	if u, err := user.LookupId(text); err == nil {
		return u.Username
	}
	return text
}

func groupName(id uint32) string {
	text := strconv.FormatUint(uint64(id), 10)
	if g, err := user.LookupGroupId(text); err == nil {
		return g.Name
	}
	return text
}

// Read returns a piece of a file and the file's size. A negative length means
// all the rest; more than 64 KiB are never read at once.
func (f *Files) Read(name, principal string, offset, length int64) (data []byte, size int64, err error) {
	file, err := f.resolve(name, principal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, notFound()
	}
	if err != nil {
		return nil, 0, err
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, 0, wire.Internal(fmt.Sprintf("Failed to open file at '%s': %v.\n", file, err))
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read %s: %w", file, err)
	}
	if info.IsDir() {
		return nil, 0, wire.BadRequest("Cannot read a directory.\n")
	}
	if offset >= info.Size() {
		return nil, info.Size(), nil
	}
	n := info.Size() - offset
	if length >= 0 {
		n = min(n, length)
	}
	data = make([]byte, min(n, maxRead))
	got, err := in.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, fmt.Errorf("cannot read %s: %w", file, err)
	}
	return data[:got], info.Size(), nil
}

// read answers with a piece of a file. Without an offset, or with a negative
// one, the answer is the file's size and no data.
func (f *Files) read(w http.ResponseWriter, r *http.Request) error {
	name, err := asked(r)
	if err != nil {
		return err
	}
	offset, err := number(r, "offset")
	if err != nil {
		return err
	}
	length, err := number(r, "length")
	if err != nil {
		return err
	}
	from := offset
	if offset < 0 {
		from = math.MaxInt64
	}
	data, size, err := f.Read(name, wire.Principal(r), from, length)
	if err != nil {
		return err
	}
	if offset < 0 {
		offset = size
	}
	out := &wire.Writer{}
	out.BeginObject()
	out.Key("data")
	out.String(string(data))
	out.Key("offset")
	out.Int(offset)
	out.EndObject()
	wire.WriteJSON(w, r, out.Bytes())
	return nil
}

// number reads a number of the query; -1 stands for none.
func number(r *http.Request, name string) (int64, error) {
	query := r.URL.Query()
	if !query.Has(name) {
		return -1, nil
	}
	text := query.Get(name)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, wire.BadRequest("Failed to parse %s: Failed to convert '%s' to number.\n", name, text)
	}
	if n < -1 {
		return 0, wire.BadRequest("Negative %s provided: %d.\n", name, n)
	}
	return n, nil
}

func (f *Files) download(w http.ResponseWriter, r *http.Request) error {
	name, err := asked(r)
	if err != nil {
		return err
	}
	file, err := f.resolve(name, wire.Principal(r))
	if errors.Is(err, errForbidden) {
		return wire.Forbidden("403 Forbidden.")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return wire.NotFound()
	}
	if err != nil {
		return err
	}
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", file, err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return wire.BadRequest("Cannot download a directory.\n")
	}
	w.Header().Set("Content-Type", mediaType(file))
	w.Header().Set("Content-Disposition", "attachment; filename="+filepath.Base(file))
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	// If the client goes or the file shrinks meanwhile, the answer is broken
	// off, and nobody can be told.
	_, _ = io.CopyN(w, in, info.Size())
	return nil
}

// debug lists what is attached.
func (f *Files) debug(w http.ResponseWriter, r *http.Request) error {
	f.mu.Lock()
	names := make([]string, 0, len(f.attached))
	for name := range f.attached {
		names = append(names, name)
	}
	slices.Sort(names)
	out := &wire.Writer{}
	out.BeginObject()
	for _, name := range names {
		out.Key(name)
		out.String(f.attached[name].real)
	}
	out.EndObject()
	f.mu.Unlock()
	wire.WriteJSON(w, r, out.Bytes())
	return nil
}
