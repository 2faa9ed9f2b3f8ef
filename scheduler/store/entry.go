package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// An entry is changes in a row, cut into the nodes that it needs:
//
//	1 byte    0; 1 in every node of an entry but its last
//	…         a part of the changes, compressed with zstd as a whole
//	4 bytes   CRC-32C of the node's number (8 bytes) and the above
//
// Numbers are little-endian. A change is
//
//	kind and key   each as its length (uvarint) and its bytes
//	record         its length and 1 (uvarint), and its protobuf; the length
//	               is 0 for a removal
const (
	// nodeSize bounds the data of a node, in bytes.
	nodeSize = 256 << 10
	// entrySize is how many bytes of changes make an entry full. Only a record
	// that is larger by itself makes a larger one, which may need several nodes.
	entrySize = 192 << 10
	// maxRecord bounds what is decompressed, in bytes, against damage.
	maxRecord = 256 << 20
)

const nodeOverhead = 1 + 4

// raw is a change as it is stored.
type raw struct {
	kind state.Kind
	key  string
	// record is nil for a removal. It is part of the entry that it was read from.
	record []byte
}

func (r raw) size() int { return len(r.kind) + len(r.key) + len(r.record) + 4 }

func newRaw(c state.Change) (raw, error) {
	if err := known(c.Kind); err != nil {
		return raw{}, err
	}
	r := raw{kind: c.Kind, key: c.Key.String()}
	if c.Record == nil {
		return r, nil
	}
	var err error
	if r.record, err = proto.Marshal(c.Record); err != nil {
		return raw{}, fmt.Errorf("%s %q: %w", c.Kind, c.Key, err)
	}
	if r.record == nil {
		r.record = []byte{}
	}
	return r, nil
}

func (r raw) appendTo(b []byte) []byte {
	b = appendBytes(b, string(r.kind))
	b = appendBytes(b, r.key)
	if r.record == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(r.record))+1)
	return append(b, r.record...)
}

// appendChange adds a change as newRaw and appendTo would, with its record encoded
// in place: of many small records most of the time goes into giving each memory.
func appendChange(b []byte, c state.Change) ([]byte, error) {
	if err := known(c.Kind); err != nil {
		return nil, err
	}
	b = appendBytes(b, string(c.Kind))
	var room [128]byte // enough for most keys
	b = appendBytes(b, c.Key.Append(room[:0]))
	if c.Record == nil {
		return append(b, 0), nil
	}
	b = binary.AppendUvarint(b, uint64(proto.Size(c.Record))+1)
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, c.Record)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", c.Kind, c.Key, err)
	}
	return b, nil
}

// known returns an error for a kind of record that nobody can load again.
func known(k state.Kind) error {
	if !slices.Contains(state.Kinds[:], k) {
		return fmt.Errorf("unknown kind of record %q", string(k))
	}
	return nil
}

// kindOf is the kind of that name, which needs no memory where it is known.
func kindOf(name []byte) state.Kind {
	for _, k := range state.Kinds {
		if string(k) == string(name) {
			return k
		}
	}
	return state.Kind(name)
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errShort = errors.New("it ends in the midst of a change")

// parseChanges yields the changes of an entry, and one error where it is damaged.
func parseChanges(b []byte) iter.Seq2[raw, error] {
	take := func() (uint64, bool) {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return 0, false
		}
		b = b[size:]
		return n, true
	}
	cut := func(n uint64) ([]byte, bool) {
		if n > uint64(len(b)) {
			return nil, false
		}
		part := b[:n:n]
		b = b[n:]
		return part, true
	}
	text := func() ([]byte, bool) {
		n, ok := take()
		if !ok {
			return nil, false
		}
		return cut(n)
	}
	return func(yield func(raw, error) bool) {
		for len(b) > 0 {
			kind, ok := text()
			key, ok2 := text()
			n, ok3 := take()
			r := raw{kind: kindOf(kind), key: string(key)}
			if ok = ok && ok2 && ok3; ok && n > 0 {
				r.record, ok = cut(n - 1)
			}
			if !ok {
				yield(raw{}, errShort)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// sealer makes nodes of entries and entries of nodes. It is not safe for
// concurrent use.
type sealer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newSealer() (*sealer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRecord))
	if err != nil {
		return nil, err
	}
	return &sealer{enc, dec}, nil
}

// seal returns the data of the nodes of an entry. The first has the number.
func (s *sealer) seal(number uint64, changes []byte) [][]byte {
	rest := s.enc.EncodeAll(changes, nil)
	var nodes [][]byte
	for {
		part := rest[:min(len(rest), nodeSize-nodeOverhead)]
		rest = rest[len(part):]
		data := make([]byte, 0, len(part)+nodeOverhead)
		data = append(data, 0)
		if len(rest) > 0 {
			data[0] = 1
		}
		data = append(data, part...)
		nodes = append(nodes, binary.LittleEndian.AppendUint32(data, nodeSum(number, data)))
		number++
		if len(rest) == 0 {
			return nodes
		}
	}
}

// part returns what a node holds of an entry, and whether more follows.
func part(number uint64, data []byte) (part []byte, more bool, err error) {
	if len(data) < nodeOverhead {
		return nil, false, errChecksum
	}
	data, sum := data[:len(data)-4], data[len(data)-4:]
	if binary.LittleEndian.Uint32(sum) != nodeSum(number, data) {
		return nil, false, errChecksum
	}
	return data[1:], data[0] != 0, nil
}

// open returns the changes of an entry, whose parts are given joined.
func (s *sealer) open(joined []byte) ([]byte, error) { return s.dec.DecodeAll(joined, nil) }

func nodeSum(number uint64, data []byte) uint32 {
	return checksum(binary.LittleEndian.AppendUint64(nil, number), data)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, record []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, record)
}

var errChecksum = errors.New("its checksum is wrong")
