// Package recordio reads the framing of Mesos's event streams: each record is
// its length in decimal digits, a newline, and that many bytes.
//
// It stands in place of mesos-go's reader, which refuses records over 4 MiB
// unless it is given its largest buffer at once; one OFFERS event of a large
// cluster, or one large task, is more than that.
package recordio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// MaxRecord is the most that a Reader takes for a record's length, in bytes.
// What claims more is not RecordIO.
const MaxRecord = 1 << 30

// keep is the size up to which a buffer is kept for the next record, and by
// which it grows: a length is only a claim until its bytes have come.
const keep = 1 << 20

// Reader reads records. It is not safe for concurrent use.
type Reader struct {
	in  *bufio.Reader
	buf []byte
}

// NewReader returns a Reader of the stream.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(r, 64<<10)} }

// Next blocks until the next record is there. The bytes are valid until the next
// call. The error is io.EOF at the end of the stream between two records, and
// io.ErrUnexpectedEOF within one.
func (r *Reader) Next() ([]byte, error) {
	size, err := r.size()
	if err != nil {
		return nil, err
	}
	if cap(r.buf) > keep {
		r.buf = nil
	}
	r.buf = r.buf[:0]
	for len(r.buf) < size {
		n := min(size-len(r.buf), keep)
		at := len(r.buf)
		if cap(r.buf) < at+n {
			grown := make([]byte, at, min(size, max(2*cap(r.buf), at+n)))
			copy(grown, r.buf)
			r.buf = grown
		}
		r.buf = r.buf[:at+n]
		if _, err := io.ReadFull(r.in, r.buf[at:]); err != nil {
			return nil, unexpected(err)
		}
	}
	return r.buf, nil
}

func (r *Reader) size() (int, error) {
	size := 0
	for digits := 0; ; digits++ {
		c, err := r.in.ReadByte()
		switch {
		case err != nil && digits == 0:
			return 0, err
		case err != nil:
			return 0, unexpected(err)
		case c == '\n' && digits > 0:
			return size, nil
		case c < '0' || c > '9':
			return 0, fmt.Errorf("not a RecordIO stream: %q where the length of a record should be", c)
		}
		size = size*10 + int(c-'0')
		if size > MaxRecord {
			return 0, fmt.Errorf("not a RecordIO stream: a record of more than %d bytes", MaxRecord)
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
