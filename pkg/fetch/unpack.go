package fetch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrNoArchive says that a file's content is none of the archives that can be
// unpacked.
var ErrNoArchive = errors.New("it is no archive")

// Unpack unpacks an archive into a directory. What kind it is its content tells,
// and not its name: a tar archive, as it is or compressed with gzip, bzip2, xz or
// zstd, or a zip archive. Nobody but the owner may write to what it makes, whatever
// the archive says. An empty file is an archive of nothing. The owner gets
// all that is made; nil means the present user. A failure may leave a part of the
// archive behind.
func Unpack(ctx context.Context, archive *os.File, dir string, owner *Owner) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("cannot open the directory: %w", err)
	}
	defer root.Close()
	w := writer{root: root, owner: owner, mask: 0o022}
	head, err := io.ReadAll(io.LimitReader(archive, headLength))
	if err != nil {
		return err
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return err
	}
	k := kindOfContent(head)
	switch {
	case len(head) == 0:
		return nil
	case k == zipped:
		return w.unzip(ctx, archive, ".")
	case k == plain:
		return ErrNoArchive
	}
	in, done, err := decompress(reading{ctx, archive}, k)
	if err != nil {
		return err
	}
	defer done()
	content := bufio.NewReaderSize(in, headLength)
	inner, err := content.Peek(headLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if kindOfContent(inner) != tarred {
		return ErrNoArchive
	}
	return w.untar(ctx, content, ".")
}

// headLength is how much of a file tells what it is: the first block of a tar
// archive.
const headLength = 512

// kindOfContent tells by how a file begins.
func kindOfContent(head []byte) kind {
	for _, e := range []struct {
		magic string
		kind  kind
	}{
		{"\x1f\x8b", tarGzip}, {"BZh", tarBzip2}, {"\xfd7zXZ\x00", tarXz}, {"\x28\xb5\x2f\xfd", tarZstd},
		{"PK\x03\x04", zipped}, {"PK\x05\x06", zipped},
	} {
		if bytes.HasPrefix(head, []byte(e.magic)) {
			return e.kind
		}
	}
	// The magic of a tar archive, or nothing but zeros, which end one.
	const at, magic = 257, "ustar"
	if len(head) == headLength && (string(head[at:at+len(magic)]) == magic || bytes.Count(head, []byte{0}) == headLength) {
		return tarred
	}
	return plain
}

// LeavingError says that an entry of an archive would be outside the directory.
type LeavingError struct{ Entry string }

func (e *LeavingError) Error() string {
	return fmt.Sprintf("the entry %q leaves the directory", e.Entry)
}
