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
	// The line is read whole before anything is said of it, as by Mesos.
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(line) > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	length, err := strconv.ParseUint(string(line[:len(line)-1]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("cannot read the length of a record: %w", err)
	}
	if length > maxRecord {
		return nil, fmt.Errorf("cannot read a record of more than %d bytes", maxRecord)
	}
	return r.body(length)
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
