package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tandem-mesos/tandem/pkg/fetch"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// program is one run of what is a program of its own in a real agent. The words
// of its errors and the places in its lines are that program's.
type program struct {
	fetcher  *Fetcher
	order    Order
	cacheDir string
	items    []item
}

// line writes a line as glog does.
func (p *program) line(severity byte, place int, format string, args ...any) {
	at := p.fetcher.options.Now().Format("20060102 15:04:05.000000")
	fmt.Fprintf(p.order.Log, "%c%s %5d fetcher.cpp:%d] %s\n", severity, at, os.Getpid(), place, fmt.Sprintf(format, args...))
}

func (p *program) run(ctx context.Context) error {
	p.line('I', 562, "Fetcher Info: %s", p.info())
	if err := p.makeCacheDir(); err != nil {
		//lint:ignore ST1005 the words of a real agent's fetcher
		return fmt.Errorf("Could not create the fetcher cache directory: %w", err)
	}
	for _, i := range p.items {
		p.line('I', 459, "Fetching URI '%s'", i.uri.Value)
		to, err := p.bring(ctx, i)
		if err != nil {
			//lint:ignore ST1005 the words of a real agent's fetcher
			return fmt.Errorf("Failed to fetch '%s': %w", i.uri.Value, err)
		}
		p.line('I', 618, "Fetched '%s' to '%s'", i.uri.Value, to)
	}
	p.line('I', 623, "Successfully fetched all URIs into '%s'", p.order.Sandbox)
	return nil
}

// info is what the program is told in its environment.
func (p *program) info() string {
	w := &wire.Writer{}
	text := func(name, value string) {
		w.Key(name)
		w.String(value)
	}
	w.BeginObject()
	text("cache_directory", p.cacheDir)
	if home := p.fetcher.options.FrameworksHome; home != "" {
		text("frameworks_home", home)
	}
	w.Key("items")
	w.BeginArray()
	for _, i := range p.items {
		w.BeginObject()
		text("action", i.action)
		if i.entry != nil {
			text("cache_filename", i.entry.file)
		}
		w.Key("uri")
		w.BeginObject()
		if i.uri.Cache != nil {
			w.Key("cache")
			w.Bool(*i.uri.Cache)
		}
		if i.uri.Executable != nil {
			w.Key("executable")
			w.Bool(*i.uri.Executable)
		}
		w.Key("extract")
		w.Bool(i.uri.GetExtract())
		if i.uri.OutputFile != nil {
			text("output_file", *i.uri.OutputFile)
		}
		text("value", i.uri.Value)
		w.EndObject()
		w.EndObject()
	}
	w.EndArray()
	text("sandbox_directory", p.order.Sandbox)
	w.Key("stall_timeout")
	w.BeginObject()
	w.Key("nanoseconds")
	w.Int(p.fetcher.options.Stall.Nanoseconds())
	w.EndObject()
	text("user", p.order.Owner.Name)
	w.EndObject()
	return string(w.Bytes())
}

func (p *program) makeCacheDir() error {
	for _, i := range p.items {
		if i.action == bypassCache {
			continue
		}
		if err := os.MkdirAll(p.cacheDir, 0o755); err != nil {
			return err
		}
		return p.own(p.cacheDir)
	}
	return nil
}

func (p *program) own(name string) error {
	if p.order.Owner.Credential == nil {
		return nil
	}
	return os.Lchown(name, int(p.order.Owner.UID), int(p.order.Owner.GID))
}

// bring brings one item, and returns where it is.
func (p *program) bring(ctx context.Context, i item) (string, error) {
	if i.action == bypassCache {
		return p.bringDirectly(ctx, i)
	}
	if i.action == downloadAndCache {
		// The same URI may be there twice.
		if _, err := os.Stat(i.entry.path()); errors.Is(err, os.ErrNotExist) {
			if err := p.download(ctx, i.uri.Value, i.entry.path()); err != nil {
				return "", err
			}
		}
	}
	return p.bringFromCache(ctx, i)
}

func (p *program) bringDirectly(ctx context.Context, i item) (string, error) {
	p.line('I', 290, "Fetching '%s' directly into the sandbox directory", i.uri.Value)
	to, err := p.place(i)
	if err != nil {
		return "", err
	}
	if err := p.download(ctx, i.uri.Value, to); err != nil {
		return "", err
	}
	if i.uri.GetExecutable() {
		return to, p.makeExecutable(to)
	}
	if !i.uri.GetExtract() {
		return to, nil
	}
	extracted, err := p.extract(ctx, to)
	if err == nil && !extracted {
		p.copies(332, i)
	}
	return to, err
}

func (p *program) copies(place int, i item) {
	p.line('W', place, "Copying instead of extracting resource from URI with 'extract' flag, because it does not seem to be an archive: %s", i.uri.Value)
}

func (p *program) bringFromCache(ctx context.Context, i item) (string, error) {
	p.line('I', 349, "Fetching URI '%s' from cache", i.uri.Value)
	to, err := p.place(i)
	if err != nil {
		return "", err
	}
	if !i.uri.GetExecutable() && i.uri.GetExtract() {
		extracted, err := p.extract(ctx, i.entry.path())
		if err != nil || extracted {
			return p.order.Sandbox, err
		}
		p.copies(394, i)
	}
	if err := p.copy(ctx, i.entry.path(), to); err != nil {
		return "", err
	}
	if i.uri.GetExecutable() {
		err = p.makeExecutable(to)
	}
	return to, err
}

// place makes the directories that an item's file goes into, and returns its path.
func (p *program) place(i item) (string, error) {
	name, err := basename(i.uri.Value)
	if err != nil {
		return "", err
	}
	if i.uri.OutputFile != nil {
		name = *i.uri.OutputFile
		if !filepath.IsLocal(name) {
			return "", fmt.Errorf("the file %q would be outside the sandbox", name)
		}
	}
	to := filepath.Join(p.order.Sandbox, name)
	dir := path.Dir(name)
	if dir == "." {
		return to, nil
	}
	root, err := os.OpenRoot(p.order.Sandbox)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := p.makeDirs(root, dir); err != nil {
		//lint:ignore ST1005 the words of a real agent's fetcher
		return "", fmt.Errorf("Unable to create subdirectory %s in sandbox: %s", dir, reason(err))
	}
	return to, nil
}

func (p *program) makeDirs(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if err := p.makeDirs(root, path.Dir(dir)); err != nil {
		return err
	}
	err := root.Mkdir(dir, 0o755)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err == nil && p.order.Owner.Credential != nil {
		err = root.Lchown(dir, int(p.order.Owner.UID), int(p.order.Owner.GID))
	}
	return err
}

// download brings a URI to a path on this machine.
func (p *program) download(ctx context.Context, uri, to string) error {
	uri = strings.TrimLeft(uri, " \t\n\r")
	from, local, err := p.fetcher.localPath(uri, func(text string) { p.line('I', 215, "%s", text) })
	switch {
	case err != nil:
		return err
	case local:
		return p.copy(ctx, from, to)
	case strings.HasPrefix(uri, "http://"), strings.HasPrefix(uri, "https://"):
		p.line('I', 175, "Downloading resource from '%s' to '%s'", uri, to)
		return p.downloadHTTP(ctx, uri, to)
	}
	//lint:ignore ST1005 the words of a real agent's fetcher
	return errors.New("Failed to create HDFS client: Hadoop client is not available, exit status: 32512")
}

// command is a program that runs as the owner, and writes to the log.
func (p *program) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Stderr = p.order.Log
	c.SysProcAttr = &syscall.SysProcAttr{Credential: p.order.Owner.Credential}
	return c
}

// copy copies a file with the rights of the owner.
func (p *program) copy(ctx context.Context, from, to string) error {
	isDir := func(name string) bool {
		info, err := os.Stat(name)
		return strings.HasSuffix(name, "/") || (err == nil && info.IsDir())
	}
	if isDir(from) {
		return errors.New("`source` was a directory")
	}
	if isDir(to) {
		return errors.New("`destination` was a directory")
	}
	err := p.command(ctx, "cp", from, to).Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("cp failed with status: %d", int(exit.Sys().(syscall.WaitStatus)))
	}
	return err
}

func (p *program) makeExecutable(name string) error {
	root, err := os.OpenRoot(p.order.Sandbox)
	if err != nil {
		return err
	}
	defer root.Close()
	below, err := filepath.Rel(p.order.Sandbox, name)
	if err != nil {
		return err
	}
	if err := root.Chmod(below, 0o755); err != nil {
		//lint:ignore ST1005 the words of a real agent's fetcher
		return fmt.Errorf("Failed to chmod executable '%s': %s", name, reason(err))
	}
	f, err := root.Open(below)
	if err != nil {
		return err
	}
	fetch.Release(f)
	return f.Close()
}

// archives are the endings of what is unpacked. A real fetcher does not know
// .tar.zst.
var archives = []string{".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".tar.zst", ".zip"}

// extract unpacks a file into the sandbox, if its name ends as an archive's does.
func (p *program) extract(ctx context.Context, name string) (bool, error) {
	for _, ending := range archives {
		if strings.HasSuffix(name, ending) {
			if err := p.unpack(ctx, name); err != nil {
				//lint:ignore ST1005 the words of a real agent's fetcher
				return false, fmt.Errorf("Failed to extract archive '%s' to '%s': %s", name, p.order.Sandbox, archiveError(err))
			}
			return true, nil
		}
	}
	if !strings.HasSuffix(name, ".gz") {
		return false, nil
	}
	if err := p.gunzip(ctx, name); err != nil {
		//lint:ignore ST1005 the words of a real agent's fetcher
		return false, fmt.Errorf("Failed to extract '%s': 'gunzip -d -c' failed: %w", name, err)
	}
	p.line('I', 132, "Extracted '%s' into '%s'", name, p.order.Sandbox)
	return true, nil
}

func (p *program) unpack(ctx context.Context, name string) error {
	archive, err := os.Open(name)
	if err != nil {
		return err
	}
	defer archive.Close()
	var owner *fetch.Owner
	if p.order.Owner.Credential != nil {
		owner = &fetch.Owner{UID: int(p.order.Owner.UID), GID: int(p.order.Owner.GID)}
	}
	return fetch.Unpack(ctx, archive, p.order.Sandbox, owner)
}

// archiveError words why an archive could not be unpacked as libarchive does,
// where that is usual.
func archiveError(err error) string {
	var leaving *fetch.LeavingError
	switch {
	case errors.Is(err, fetch.ErrNoArchive):
		return "Failed to read archive header: Unrecognized archive format"
	case errors.As(err, &leaving):
		return "Failed to write archive header: Path contains '..'"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "Failed to read archive data block: Truncated archive"
	}
	return "Failed to read archive header: " + err.Error()
}

func (p *program) gunzip(ctx context.Context, name string) error {
	root, err := os.OpenRoot(p.order.Sandbox)
	if err != nil {
		return err
	}
	defer root.Close()
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := p.create(root, strings.TrimSuffix(filepath.Base(name), ".gz"))
	if err != nil {
		return err
	}
	defer out.Close()
	c := p.command(ctx, "gunzip", "-d", "-c")
	c.Stdin, c.Stdout = in, out
	err = c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("exited with status %d", exit.ExitCode())
	}
	return err
}

// create makes a file below a directory that is the owner's.
func (p *program) create(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if p.order.Owner.Credential != nil {
		if err := f.Chown(int(p.order.Owner.UID), int(p.order.Owner.GID)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// reason words an error of the system as the C library does.
func reason(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
