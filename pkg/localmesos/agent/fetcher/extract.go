package fetcher

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

// extract unpacks a file into the sandbox if its name is an archive's; it
// returns false if not. A .gz that is no .tar.gz is one compressed file.
func extract(ctx context.Context, file, name string, s sink) (bool, error) {
	base, compression := splitName(name)
	if compression == "" && !strings.HasSuffix(base, ".tar") && !strings.HasSuffix(base, ".zip") {
		return false, nil
	}
	if compression != "" && compression != "gz" && !strings.HasSuffix(base, ".tar") {
		return false, nil
	}
	if err := unpack(ctx, file, base, compression, s); err != nil {
		return true, fmt.Errorf("Failed to extract archive '%s' to '%s': %w", file, s.dir, err) //nolint:staticcheck // exact text
	}
	return true, nil
}

// splitName takes the name of a compression off a file's name, and writes out
// the short forms.
func splitName(name string) (base, compression string) {
	for short, long := range map[string]string{".tgz": "gz", ".tbz2": "bz2", ".txz": "xz", ".tzst": "zst"} {
		if stem, ok := strings.CutSuffix(name, short); ok {
			return stem + ".tar", long
		}
	}
	for _, c := range []string{"gz", "bz2", "xz", "zst"} {
		if stem, ok := strings.CutSuffix(name, "."+c); ok {
			return stem, c
		}
	}
	return name, ""
}

func unpack(ctx context.Context, file, base, compression string, s sink) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if compression == "" && strings.HasSuffix(base, ".zip") {
		return unzip(ctx, f, s)
	}
	r, closeReader, err := decompress(f, compression)
	if err != nil {
		return err
	}
	defer closeReader()
	r = untilDone{ctx, r}
	if strings.HasSuffix(base, ".tar") {
		return untar(r, s)
	}
	return s.write(base, 0o644, r)
}

func decompress(r io.Reader, compression string) (io.Reader, func(), error) {
	nothing := func() {}
	switch compression {
	case "":
		return r, nothing, nil
	case "gz":
		z, err := gzip.NewReader(r)
		return z, nothing, err
	case "bz2":
		return bzip2.NewReader(r), nothing, nil
	case "xz":
		z, err := xz.NewReader(r)
		return z, nothing, err
	case "zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nothing, err
		}
		return z, z.Close, nil
	default:
		return nil, nothing, fmt.Errorf("unknown compression %s", compression)
	}
}

// untilDone is a reader that fails once its context has ended.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}

func untar(r io.Reader, s sink) error {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.member(h.Name, h.FileInfo().Mode(), h.Linkname, h.Typeflag, t); err != nil {
			return err
		}
	}
}

// member writes one member of a tar archive. Devices and the like are left out.
func (s sink) member(name string, mode fs.FileMode, link string, kind byte, r io.Reader) error {
	name = path.Clean(name)
	if name == "." {
		return nil
	}
	if !filepath.IsLocal(name) {
		return fmt.Errorf("member '%s' is not within the sandbox", name)
	}
	if err := s.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	switch kind {
	case tar.TypeDir:
		return s.mkdirAll(name)
	case tar.TypeReg:
		return s.write(name, mode.Perm()&^0o022, r)
	case tar.TypeSymlink:
		if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return s.root.Symlink(link, name)
	case tar.TypeLink:
		return s.root.Link(path.Clean(link), name)
	default:
		return nil
	}
}

func unzip(ctx context.Context, f *os.File, s sink) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return err
	}
	for _, m := range z.File {
		if err := s.zipMember(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (s sink) zipMember(ctx context.Context, m *zip.File) error {
	if m.Mode().IsDir() {
		return s.member(m.Name, m.Mode(), "", tar.TypeDir, nil)
	}
	r, err := m.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if m.Mode()&fs.ModeSymlink != 0 {
		target, err := io.ReadAll(io.LimitReader(r, 4096))
		if err != nil {
			return err
		}
		return s.member(m.Name, m.Mode(), string(target), tar.TypeSymlink, nil)
	}
	return s.member(m.Name, m.Mode(), "", tar.TypeReg, untilDone{ctx, r})
}
