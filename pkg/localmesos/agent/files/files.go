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

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// maxRead is the most that one read returns: sixteen pages.
const maxRead = 16 * 4096

// Files maps names to files and directories. It is safe for concurrent use.
type Files struct {
	mu       sync.Mutex
	attached map[string]string
}

// New returns a Files with nothing attached.
func New() *Files { return &Files{attached: map[string]string{}} }

// Attach lets a file or directory be seen under a name, which is a clean,
// absolute path.
func (f *Files) Attach(name, real string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attached[name] = real
}

// Register adds the endpoints to a router.
func (f *Files) Register(rt *wire.Router) {
	for name, h := range map[string]wire.Handler{
		"browse": f.browse, "read": f.read, "download": f.download, "debug": f.debug,
	} {
		rt.Handle("/files/"+name, h)
		rt.Handle("/files/"+name+".json", h)
	}
}

// resolve finds the file behind a name: the longest attached prefix decides.
func (f *Files) resolve(name string) (string, error) {
	name = strings.TrimSuffix(name, "/")
	for prefix := name; prefix != "" && prefix != "."; {
		f.mu.Lock()
		real, ok := f.attached[prefix]
		f.mu.Unlock()
		if ok {
			return within(real, strings.TrimPrefix(name, prefix))
		}
		parent := path.Dir(prefix)
		if parent == prefix {
			break
		}
		prefix = parent
	}
	return "", fs.ErrNotExist
}

// within joins a path to a root and refuses what is not below that in truth.
func within(root, rest string) (string, error) {
	file, err := filepath.EvalSymlinks(filepath.Join(root, rest))
	if err != nil {
		return "", fs.ErrNotExist
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", fs.ErrNotExist
	}
	if file != root && !strings.HasPrefix(file, root+"/") {
		return "", wire.BadRequest("'%s' is inaccessible.\n", filepath.Join(root, rest))
	}
	return file, nil
}

// asked returns the path that a request is about.
func (f *Files) asked(r *http.Request, notFound string) (name, file string, err error) {
	name = r.URL.Query().Get("path")
	if name == "" {
		return "", "", wire.BadRequest("Expecting 'path=value' in query.\n")
	}
	file, err = f.resolve(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", &wire.Error{Status: http.StatusNotFound, Text: notFound}
	}
	return name, file, err
}

func (f *Files) browse(w http.ResponseWriter, r *http.Request) error {
	name, dir, err := f.asked(r, "")
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, syscall.ENOTDIR) {
		entries, err = nil, nil // a file has nothing in it
	}
	if err != nil {
		return fmt.Errorf("cannot list %s: %w", name, err)
	}
	out := &wire.Writer{}
	out.BeginArray()
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // it went away meanwhile
		}
		writeInfo(out, path.Join(name, e.Name()), info)
	}
	out.EndArray()
	wire.WriteJSON(w, r, out.Bytes())
	return nil
}

func writeInfo(out *wire.Writer, name string, info fs.FileInfo) {
	stat, _ := info.Sys().(*syscall.Stat_t)
	if stat == nil {
		stat = &syscall.Stat_t{}
	}
	out.BeginObject()
	out.Key("gid")
	out.String(groupName(stat.Gid))
	out.Key("mode")
	out.String(modeString(info.Mode()))
	out.Key("mtime")
	out.Double(float64(info.ModTime().Unix()))
	out.Key("nlink")
	out.Uint(uint64(stat.Nlink))
	out.Key("path")
	out.String(name)
	out.Key("size")
	out.Int(info.Size())
	out.Key("uid")
	out.String(userName(stat.Uid))
	out.EndObject()
}

// modeString writes a mode as ls does.
func modeString(m fs.FileMode) string {
	kind := "-"
	switch {
	case m.IsDir():
		kind = "d"
	case m&fs.ModeSymlink != 0:
		kind = "l"
	case m&fs.ModeNamedPipe != 0:
		kind = "p"
	case m&fs.ModeSocket != 0:
		kind = "s"
	case m&fs.ModeCharDevice != 0:
		kind = "c"
	case m&fs.ModeDevice != 0:
		kind = "b"
	}
	return kind + m.Perm().String()[1:]
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

// read answers with a piece of a file. Without an offset, or with a negative
// one, the answer is the file's size and no data.
func (f *Files) read(w http.ResponseWriter, r *http.Request) error {
	offset, err := number(r, "offset")
	if err != nil {
		return err
	}
	length, err := number(r, "length")
	if err != nil {
		return err
	}
	_, file, err := f.asked(r, "")
	if err != nil {
		return err
	}
	in, err := os.Open(file)
	if err != nil {
		return wire.Internal(fmt.Sprintf("Failed to open file at '%s': %v.\n", file, err))
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return wire.BadRequest("Cannot read a directory.\n")
	}
	var data []byte
	if offset < 0 {
		offset = info.Size()
	} else if offset < info.Size() {
		n := info.Size() - offset
		if length >= 0 {
			n = min(n, length)
		}
		data = make([]byte, min(n, maxRead))
		got, err := in.ReadAt(data, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("cannot read %s: %w", file, err)
		}
		data = data[:got]
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
	text := r.URL.Query().Get(name)
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, wire.BadRequest("Failed to parse %s: Failed to convert '%s' to number.\n", name, text)
	}
	return n, nil
}

func (f *Files) download(w http.ResponseWriter, r *http.Request) error {
	_, file, err := f.asked(r, wire.NotFound().Text)
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
	w.Header().Set("Content-Type", "application/octet-stream")
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
		out.String(f.attached[name])
	}
	out.EndObject()
	f.mu.Unlock()
	wire.WriteJSON(w, r, out.Bytes())
	return nil
}
