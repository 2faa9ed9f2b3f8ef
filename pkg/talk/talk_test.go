package talk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	to := &tandemv1.ToExecutor{Request: 7, Ask: &tandemv1.ToExecutor_SendSignal{
		SendSignal: &tandemv1.SendSignal{TaskId: "web.0.1.main", Signal: "SIGUSR1", All: true},
	}}
	data, err := EncodeToExecutor(to)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseToExecutor(data); err != nil || !proto.Equal(got, to) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ParseFromExecutor(data); !errors.Is(err, ErrStranger) {
		t.Errorf("what goes to an executor is taken for what comes from one: %v", err)
	}
	from := &tandemv1.FromExecutor{Word: &tandemv1.FromExecutor_Answer{Answer: &tandemv1.Answer{Request: 7, Problem: "it has ended"}}}
	if data, err = EncodeFromExecutor(from); err != nil {
		t.Fatal(err)
	}
	if got, err := ParseFromExecutor(data); err != nil || !proto.Equal(got, from) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWhatIsNotOfThisFormatIsRefused(t *testing.T) {
	ask := &tandemv1.ToExecutor_SampleUsage{SampleUsage: &tandemv1.SampleUsage{}}
	marshal := func(m *tandemv1.ToExecutor) []byte {
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	magic := marshal(&tandemv1.ToExecutor{Magic: magicToExecutor})
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":           {nil, "no message of Tandem's"},
		"text":              {[]byte("hello"), "no message of Tandem's"},
		"another magic":     {marshal(&tandemv1.ToExecutor{Magic: 1, Version: 1, Ask: ask}), "no message of Tandem's"},
		"magic alone":       {magic, "version 0"},
		"a later version":   {marshal(&tandemv1.ToExecutor{Magic: magicToExecutor, Version: 2, Ask: ask}), "version 2"},
		"nothing known":     {marshal(&tandemv1.ToExecutor{Magic: magicToExecutor, Version: 1}), "does not know"},
		"broken off":        {append(bytes.Clone(magic), 0x22, 0x7f), "cannot be read"},
		"more than allowed": {append(bytes.Clone(magic), make([]byte, MaxSize)...), "too large"},
	} {
		if _, err := ParseToExecutor(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	huge := &tandemv1.ToExecutor{Ask: &tandemv1.ToExecutor_SendSignal{SendSignal: &tandemv1.SendSignal{TaskId: strings.Repeat("x", MaxSize)}}}
	if _, err := EncodeToExecutor(huge); err == nil {
		t.Error("a message was made that nobody takes")
	}
}

func TestBounds(t *testing.T) {
	for _, tt := range []struct {
		ask             *tandemv1.SampleUsage
		interval, lease time.Duration
	}{
		{nil, 2 * time.Second, 30 * time.Second},
		{&tandemv1.SampleUsage{Interval: durationpb.New(time.Millisecond), Lease: durationpb.New(time.Hour)}, time.Second, 5 * time.Minute},
		{&tandemv1.SampleUsage{Interval: durationpb.New(time.Hour), Lease: durationpb.New(-time.Second)}, time.Minute, 0},
		{&tandemv1.SampleUsage{Interval: durationpb.New(5 * time.Second), Lease: durationpb.New(time.Minute)}, 5 * time.Second, time.Minute},
	} {
		if interval, lease := Bounds(tt.ask); interval != tt.interval || lease != tt.lease {
			t.Errorf("%v gives %s for %s", tt.ask, interval, lease)
		}
	}
}

func TestPackKeepsEveryMessageWithinBounds(t *testing.T) {
	var samples []*tandemv1.UsageSample
	for i := range 3000 {
		samples = append(samples, &tandemv1.UsageSample{TaskId: fmt.Sprintf("%s.%d", strings.Repeat("long", 20), i), Pids: proto.Uint64(3)})
	}
	samples = append(samples, &tandemv1.UsageSample{TaskId: strings.Repeat("x", MaxSize)})
	var got []*tandemv1.UsageSample
	messages := Pack(samples)
	for _, m := range messages {
		if _, err := EncodeFromExecutor(m); err != nil {
			t.Error(err)
		}
		got = append(got, m.GetSamples().GetSamples()...)
	}
	if len(got) != 3000 || got[2999].TaskId != samples[2999].TaskId || len(messages) > 6 {
		t.Errorf("%d samples came back in %d messages", len(got), len(messages))
	}
}

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	for _, text := range []string{"ls\n", "", "exit\n"} {
		if err := WriteFrame(&b, &tandemv1.ExecInput{Input: &tandemv1.ExecInput_Stdin{Stdin: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	m := &tandemv1.ExecInput{}
	for {
		err := ReadFrame(&b, m)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got += string(m.GetStdin())
	}
	if got != "ls\nexit\n" {
		t.Errorf("got %q", got)
	}
	if err := WriteFrame(io.Discard, &tandemv1.ExecInput{Input: &tandemv1.ExecInput_Stdin{Stdin: make([]byte, MaxSize)}}); err == nil {
		t.Error("a frame was written that nobody takes")
	}
	large := binary.BigEndian.AppendUint32(nil, MaxSize+1)
	if err := ReadFrame(bytes.NewReader(large), m); err == nil || err == io.EOF {
		t.Errorf("a frame that is too large: %v", err)
	}
	if err := ReadFrame(strings.NewReader("\x00\x00\x00\x05abc"), m); err == nil || err == io.EOF {
		t.Errorf("a frame that breaks off: %v", err)
	}
}

func FuzzParseToExecutor(f *testing.F) {
	for _, m := range []*tandemv1.ToExecutor{
		{Request: 1, Ask: &tandemv1.ToExecutor_SampleUsage{SampleUsage: &tandemv1.SampleUsage{Lease: durationpb.New(time.Second)}}},
		{Request: 2, Ask: &tandemv1.ToExecutor_SendSignal{SendSignal: &tandemv1.SendSignal{TaskId: "a", Signal: "SIGHUP"}}},
		{Request: 3, Ask: &tandemv1.ToExecutor_OpenSession{OpenSession: &tandemv1.OpenSession{TaskId: "a", Address: "http://h/x", Token: "t"}}},
	} {
		data, err := EncodeToExecutor(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := ParseToExecutor(data); err == nil {
			if len(data) > MaxSize || m.Ask == nil || m.Version != version {
				t.Errorf("%v was let through", m)
			}
			interval, lease := Bounds(m.GetSampleUsage())
			if interval < MinInterval || interval > MaxInterval || lease < 0 || lease > MaxLease {
				t.Errorf("samples every %s for %s", interval, lease)
			}
		}
	})
}

func FuzzParseFromExecutor(f *testing.F) {
	for _, m := range []*tandemv1.FromExecutor{
		{Word: &tandemv1.FromExecutor_Answer{Answer: &tandemv1.Answer{Request: 1}}},
		{Word: &tandemv1.FromExecutor_Samples{Samples: &tandemv1.UsageSamples{Samples: []*tandemv1.UsageSample{{TaskId: "a"}}}}},
	} {
		data, err := EncodeFromExecutor(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := ParseFromExecutor(data); err == nil && (len(data) > MaxSize || m.Word == nil || m.Version != version) {
			t.Errorf("%v was let through", m)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02\x10\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		for ReadFrame(r, &tandemv1.ExecInput{}) == nil {
		}
		r.Reset(data)
		for ReadFrame(r, &tandemv1.ExecOutput{}) == nil {
		}
	})
}
