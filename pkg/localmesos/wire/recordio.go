package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// AppendRecord appends a record in RecordIO framing: its length in decimal, a
// newline, its bytes.
func AppendRecord(dst, record []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(record)), 10)
	dst = append(dst, '\n')
	return append(dst, record...)
}

// maxRecord bounds what RecordReader takes for one record, in bytes.
const maxRecord = 1 << 30

// RecordReader reads records in RecordIO framing.
type RecordReader struct {
	in *bufio.Reader
}

// NewRecordReader returns a reader of the stream.
func NewRecordReader(in io.Reader) *RecordReader {
	return &RecordReader{bufio.NewReader(in)}
}

// Next returns the next record. At the end of the stream it returns io.EOF, and
// io.ErrUnexpectedEOF when the stream ends within a record.
func (r *RecordReader) Next() ([]byte, error) {
	var length uint64
	for digits := 0; ; digits++ {
		ch, err := r.in.ReadByte()
		switch {
		case err != nil:
			if digits > 0 && errors.Is(err, io.EOF) {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		case ch == '\n' && digits > 0:
			return r.body(length)
		case ch < '0' || ch > '9':
			return nil, fmt.Errorf("cannot read the length of a record: unexpected byte %q", ch)
		}
		if length = length*10 + uint64(ch-'0'); length > maxRecord {
			return nil, fmt.Errorf("cannot read a record of more than %d bytes", maxRecord)
		}
	}
}

func (r *RecordReader) body(length uint64) ([]byte, error) {
	// Grow with what arrives: the length may be a lie.
	limited := io.LimitReader(r.in, int64(length))
	body, err := io.ReadAll(limited)
	if err != nil {
		return nil, err
	}
	if uint64(len(body)) < length {
		return nil, io.ErrUnexpectedEOF
	}
	return body, nil
}
