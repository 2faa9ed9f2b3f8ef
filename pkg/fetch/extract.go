package fetch

import (
	"archive/tar"
	"archive/zip"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// kind is what a file is by its name.
type kind int

const (
	plain  kind = iota // No archive.
	single             // One compressed file.
	zipped
	tarred
	tarGzip
	tarBzip2
	tarXz
	tarZstd
)

// kindOf tells by the endings that Mesos's fetcher knows, and .tar.zst.
func kindOf(name string) kind {
	for _, e := range []struct {
		ending string
		kind   kind
	}{
		{".tar", tarred}, {".tar.gz", tarGzip}, {".tgz", tarGzip}, {".tar.bz2", tarBzip2}, {".tbz2", tarBzip2},
		{".tar.xz", tarXz}, {".txz", tarXz}, {".tar.zst", tarZstd}, {".zip", zipped}, {".gz", single},
	} {
		if strings.HasSuffix(name, e.ending) {
			return e.kind
		}
	}
	return plain
}

// extract unpacks a file below the root into the directory that it is in.
func (w writer) extract(ctx context.Context, name string, k kind) error {
	f, err := w.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	dir := path.Dir(name)
	if k == zipped {
		return w.unzip(ctx, f, dir)
	}
	in, done, err := decompress(reading{ctx, f}, k)
	if err != nil {
		return err
	}
	defer done()
	if k == single {
		return w.put(strings.TrimSuffix(name, ".gz"), 0o644, func(to *os.File) error {
			_, err := io.Copy(to, reading{ctx, in})
			return err
		})
	}
	return w.untar(ctx, in, dir)
}

func decompress(in io.Reader, k kind) (_ io.Reader, done func(), err error) {
	done = func() {}
	switch k {
	case tarGzip, single:
		in, err = gzip.NewReader(in)
	case tarBzip2:
		in = bzip2.NewReader(in)
	case tarXz:
		in, err = xz.NewReader(in)
	case tarZstd:
		var z *zstd.Decoder
		if z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1)); err == nil {
			in, done = z, z.Close
		}
	}
	return in, done, err
}

// reading is a reader that ends with its context.
type reading struct {
	ctx context.Context
	r   io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func (w writer) untar(ctx context.Context, in io.Reader, dir string) error {
	archive := tar.NewReader(in)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := within(dir, h.Name)
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = w.makeDir(name, h.FileInfo().Mode())
		case tar.TypeReg, tar.TypeGNUSparse:
			err = w.makeFile(ctx, name, h.FileInfo().Mode(), archive)
		case tar.TypeSymlink:
			err = w.makeSymlink(name, h.Linkname)
		case tar.TypeLink:
			var target string
			if target, err = within(dir, h.Linkname); err == nil {
				err = w.makeLink(name, target)
			}
		case tar.TypeXGlobalHeader:
			continue
		default:
			if w.whole && (h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock) {
				continue
			}
			err = fmt.Errorf("the entry %q is neither a file, a directory nor a link", h.Name)
		}
		if err == nil && w.whole {
			err = w.keep(name, h)
		}
		if err != nil {
			return err
		}
	}
}

// keep gives an entry the owner that the archive says. The bits by which a program
// runs as its owner are left out: whoever finds it outside of its root file system
// could become root there.
func (w writer) keep(name string, h *tar.Header) error {
	if err := w.root.Lchown(name, h.Uid, h.Gid); err != nil || h.Typeflag != tar.TypeDir {
		return err
	}
	mode := h.FileInfo().Mode()
	return w.root.Chmod(name, mode.Perm()|mode&fs.ModeSticky)
}

func (w writer) unzip(ctx context.Context, f *os.File, dir string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(f, info.Size())
	if err != nil {
		return err
	}
	for _, entry := range archive.File {
		name, err := within(dir, entry.Name)
		if err != nil {
			return err
		}
		if err := w.unzipEntry(ctx, entry, name); err != nil {
			return err
		}
	}
	return nil
}

func (w writer) unzipEntry(ctx context.Context, entry *zip.File, name string) error {
	mode := entry.Mode()
	if mode.IsDir() {
		return w.makeDir(name, mode)
	}
	content, err := entry.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	switch {
	case mode.IsRegular():
		return w.makeFile(ctx, name, mode, content)
	case mode&fs.ModeSymlink != 0:
		target, err := io.ReadAll(io.LimitReader(content, 4096))
		if err != nil {
			return err
		}
		return w.makeSymlink(name, string(target))
	default:
		return fmt.Errorf("the entry %q is neither a file, a directory nor a link", entry.Name)
	}
}

// within returns an entry's path below the root. Like tar it takes an absolute
// name for one below the directory; it refuses one that goes up out of it.
func within(dir, name string) (string, error) {
	local := strings.TrimLeft(filepath.ToSlash(name), "/")
	if local = path.Clean(local); local == "." || local == "" {
		return dir, nil
	}
	if !filepath.IsLocal(local) || strings.ContainsRune(local, 0) {
		return "", &LeavingError{Entry: name}
	}
	return path.Join(dir, local), nil
}

func (w writer) makeDir(name string, mode fs.FileMode) error {
	if err := w.mkdirAll(name); err != nil || name == "." {
		return err
	}
	// The owner must be able to put files into it, whatever the archive says.
	return w.root.Chmod(name, mode.Perm()&^w.mask|0o700)
}

// makeFile ends with its context even where a few bytes of an archive stand for
// endless content.
func (w writer) makeFile(ctx context.Context, name string, mode fs.FileMode, content io.Reader) error {
	if err := w.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	if err := w.clear(name); err != nil {
		return err
	}
	f, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, reading{ctx, content})
	if err == nil {
		err = w.own(name)
	}
	if err == nil {
		err = f.Chmod(mode.Perm() &^ w.mask) // Without set-user-ID and the like.
	}
	if err := errors.Join(err, f.Close()); err != nil || mode&0o111 == 0 {
		return err
	}
	return w.release(name)
}

// makeSymlink makes a link that may point anywhere: programs bring links to
// /usr/bin and the like, and nothing here follows one out of the root.
func (w writer) makeSymlink(name, target string) error {
	if err := w.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	if err := w.clear(name); err != nil {
		return err
	}
	if err := w.root.Symlink(target, name); err != nil {
		return err
	}
	return w.own(name)
}

func (w writer) makeLink(name, target string) error {
	if err := w.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	if name == target {
		return nil
	}
	if err := w.clear(name); err != nil {
		return err
	}
	return w.root.Link(target, name)
}

// clear removes what is in the way of an entry, as the later entry of an
// archive replaces the earlier. A directory stays in the way unless it is
// empty.
func (w writer) clear(name string) error {
	err := w.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
