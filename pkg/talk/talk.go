// Package talk is how a scheduler and an executor put what they say to each
// other into bytes: messages for the data of Mesos's MESSAGE, and frames for
// the connection of a session. proto/tandem/v1/talk.proto says what they mean.
//
// The package is pure. It must never trust what it reads: everything is bounded,
// and what is not of this format is an error for the log and nothing else.
package talk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// MaxSize bounds a message and a frame, in bytes. Mesos itself has no bound.
const MaxSize = 64 << 10

// version is that of the format.
const version = 1

// The first fields of the two messages.
const (
	magicToExecutor   = 0x746e6465
	magicFromExecutor = 0x746e6466
)

// ErrStranger is the error of data that are none of these messages. Others may
// use MESSAGE too.
var ErrStranger = errors.New("they are no message of Tandem's")

// EncodeToExecutor fills in the magic number and the version, and returns the
// bytes.
func EncodeToExecutor(m *tandemv1.ToExecutor) ([]byte, error) {
	m.Magic, m.Version = magicToExecutor, version
	return encode(m)
}

// EncodeFromExecutor is EncodeToExecutor for the other direction.
func EncodeFromExecutor(m *tandemv1.FromExecutor) ([]byte, error) {
	m.Magic, m.Version = magicFromExecutor, version
	return encode(m)
}

func encode(m proto.Message) ([]byte, error) {
	data, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a message: %w", err)
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("the message is too large: it has %d bytes, and may have %d", len(data), MaxSize)
	}
	return data, nil
}

// ParseToExecutor reads what a scheduler says.
func ParseToExecutor(data []byte) (*tandemv1.ToExecutor, error) {
	m := &tandemv1.ToExecutor{}
	if err := parse(data, magicToExecutor, m); err != nil {
		return nil, err
	}
	return m, known(m.Version, m.Ask != nil)
}

// ParseFromExecutor reads what an executor says.
func ParseFromExecutor(data []byte) (*tandemv1.FromExecutor, error) {
	m := &tandemv1.FromExecutor{}
	if err := parse(data, magicFromExecutor, m); err != nil {
		return nil, err
	}
	return m, known(m.Version, m.Word != nil)
}

func parse(data []byte, magic uint32, m proto.Message) error {
	// The key of field 1, a fixed32, and its value.
	if len(data) < 5 || data[0] != 1<<3|5 || binary.LittleEndian.Uint32(data[1:]) != magic {
		return ErrStranger
	}
	if len(data) > MaxSize {
		return fmt.Errorf("they are too large: at most %d bytes are taken", MaxSize)
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return errors.New("they begin like a message of Tandem's and cannot be read")
	}
	return nil
}

func known(has uint32, content bool) error {
	switch {
	case has != version:
		return fmt.Errorf("they are of version %d, and this program knows version %d", has, version)
	case !content:
		return errors.New("this program does not know what they are about: is the other one newer?")
	}
	return nil
}

// The bounds of a SampleUsage.
const (
	DefaultInterval, MinInterval, MaxInterval = 2 * time.Second, time.Second, time.Minute
	DefaultLease, MaxLease                    = 30 * time.Second, 5 * time.Minute
)

// Bounds returns the interval and the lease that are asked for, within bounds.
func Bounds(s *tandemv1.SampleUsage) (interval, lease time.Duration) {
	within := func(d *durationpb.Duration, fallback, least, most time.Duration) time.Duration {
		if d == nil {
			return fallback
		}
		return min(max(d.AsDuration(), least), most)
	}
	return within(s.GetInterval(), DefaultInterval, MinInterval, MaxInterval), within(s.GetLease(), DefaultLease, 0, MaxLease)
}

// Pack divides samples among as few messages as they fit into, in their order.
// A sample that fits into none is left out.
func Pack(samples []*tandemv1.UsageSample) []*tandemv1.FromExecutor {
	const room = MaxSize - 64 // for what stands around the samples
	var all []*tandemv1.FromExecutor
	var part *tandemv1.UsageSamples
	size := 0
	for _, s := range samples {
		n := proto.Size(s) + 4 // its key and length
		if n > room {
			continue
		}
		if part == nil || size+n > room {
			part, size = &tandemv1.UsageSamples{}, 0
			all = append(all, &tandemv1.FromExecutor{Word: &tandemv1.FromExecutor_Samples{Samples: part}})
		}
		part.Samples = append(part.Samples, s)
		size += n
	}
	return all
}

// WriteFrame writes a message of a session. It blocks until the connection has
// taken it.
func WriteFrame(w io.Writer, m proto.Message) error {
	data := make([]byte, 4, 4+proto.Size(m))
	data, err := proto.MarshalOptions{}.MarshalAppend(data, m)
	if err != nil {
		return fmt.Errorf("cannot encode a frame: %w", err)
	}
	if len(data)-4 > MaxSize {
		return fmt.Errorf("a frame is too large: it has %d bytes, and may have %d", len(data)-4, MaxSize)
	}
	binary.BigEndian.PutUint32(data, uint32(len(data)-4))
	_, err = w.Write(data)
	return err
}

// ReadFrame reads a message of a session. The error is io.EOF where the
// connection ends between two.
func ReadFrame(r io.Reader, m proto.Message) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > MaxSize {
		return fmt.Errorf("a frame has %d bytes, and may have %d", size, MaxSize)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return fmt.Errorf("a frame breaks off: %w", err)
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return errors.New("a frame cannot be read")
	}
	return nil
}
