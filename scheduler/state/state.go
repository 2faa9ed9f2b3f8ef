// Package state is what a scheduler saves, watches and shows: the records of
// proto/tandem/v1, the keys that they are stored under, and the names of things
// as typed strings.
//
// A record is never changed once it stands in a Change or a Snapshot: whoever
// wants another makes a copy. The package must never do input or output, and
// decides nothing.
package state

import (
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Kind is a kind of record.
type Kind string

// The kinds of records. Their names are the names of the buckets or folders
// that a store keeps them in.
const (
	KindFramework Kind = "framework"
	KindJob       Kind = "job"
	KindVersion   Kind = "version"
	KindInstance  Kind = "instance"
	KindAttempt   Kind = "attempt"
	KindAgent     Kind = "agent"
	KindVolume    Kind = "volume"
	KindRequest   Kind = "request"
)

// Kinds are all kinds, in the order in which records refer to each other.
var Kinds = [...]Kind{KindFramework, KindJob, KindVersion, KindInstance, KindAttempt, KindAgent, KindVolume, KindRequest}

// New returns an empty record of the kind, for decoding into.
func (k Kind) New() (proto.Message, error) {
	switch k {
	case KindFramework:
		return &tandemv1.FrameworkRecord{}, nil
	case KindJob:
		return &tandemv1.JobRecord{}, nil
	case KindVersion:
		return &tandemv1.VersionRecord{}, nil
	case KindInstance:
		return &tandemv1.InstanceRecord{}, nil
	case KindAttempt:
		return &tandemv1.AttemptRecord{}, nil
	case KindAgent:
		return &tandemv1.AgentRecord{}, nil
	case KindVolume:
		return &tandemv1.VolumeRecord{}, nil
	case KindRequest:
		return &tandemv1.RequestRecord{}, nil
	}
	return nil, fmt.Errorf("unknown kind of record %q", string(k))
}

// Change puts one record in its place, or removes it.
type Change struct {
	Key
	// Record is nil to remove what the key holds.
	Record proto.Message
}

// Removal removes the record under the same key as c.
func (c Change) Removal() Change { return Change{c.Key, nil} }

// Key tells a record from all others. An update makes one, so that it becomes text only
// where records are stored.
type Key struct {
	Kind Kind
	// ID is that of an agent, a volume or a request, and of the job that the record is
	// of or belongs to; see FrameworkKey and RequestKey.
	ID string
	// Slot is that of an instance, and of an attempt's.
	Slot int32
	// Number is that of an attempt, or of a version.
	Number uint64
}

// FrameworkKey is the ID in the one key of KindFramework.
const FrameworkKey = "self"

// Append adds the key as text, which is unique for its kind: the ID; of a version "#"
// and its number in twenty digits; of an instance "#" and its slot in ten digits, so that
// keys sort as instances do; of an attempt its instance's key, "#" and its number in
// twenty digits.
func (k Key) Append(text []byte) []byte {
	text = append(text, k.ID...)
	switch k.Kind {
	case KindVersion:
		return appendNumber(text, k.Number, 20)
	case KindInstance:
		return appendNumber(text, uint64(uint32(k.Slot)), 10)
	case KindAttempt:
		return appendNumber(appendNumber(text, uint64(uint32(k.Slot)), 10), k.Number, 20)
	}
	return text
}

// String returns the key as text.
func (k Key) String() string {
	var room [128]byte // enough for most keys
	return string(k.Append(room[:0]))
}

// VersionKey is the key of a version of a job as text.
func VersionKey(job string, version uint64) string {
	return Key{Kind: KindVersion, ID: job, Number: version}.String()
}

// InstanceKey is the key of an instance as text.
func InstanceKey(job string, slot int32) string {
	return Key{Kind: KindInstance, ID: job, Slot: slot}.String()
}

// AttemptKey is the key of an attempt as text.
func AttemptKey(job string, slot int32, attempt uint64) string {
	return Key{Kind: KindAttempt, ID: job, Slot: slot, Number: attempt}.String()
}

// RequestKey is the ID in the key of a write that carried a key: the call, and who has
// called with what key, quoted as Go does, so that the three can be told again.
func RequestKey(caller, call, key string) string {
	return call + " " + strconv.Quote(caller) + " " + strconv.Quote(key)
}

// appendNumber adds "#" and a number in so many digits. Package fmt would be a
// good part of the cost of an update.
func appendNumber(key []byte, n uint64, digits int) []byte {
	key = append(key, "#00000000000000000000"[:1+digits]...)
	for i := len(key) - 1; n > 0; i-- {
		key[i] = byte('0' + n%10)
		n /= 10
	}
	return key
}

// PutFramework saves who the scheduler is to Mesos.
func PutFramework(r *tandemv1.FrameworkRecord) Change {
	return Change{Key{Kind: KindFramework, ID: FrameworkKey}, r}
}

// PutJob saves a job.
func PutJob(r *tandemv1.JobRecord) Change {
	return Change{Key{Kind: KindJob, ID: r.GetSpec().GetId()}, r}
}

// PutVersion saves a version of a job.
func PutVersion(r *tandemv1.VersionRecord) Change {
	return Change{Key{Kind: KindVersion, ID: r.JobId, Number: r.Version}, r}
}

// PutInstance saves an instance.
func PutInstance(r *tandemv1.InstanceRecord) Change {
	return Change{Key{Kind: KindInstance, ID: r.JobId, Slot: r.Slot}, r}
}

// PutAttempt saves an attempt.
func PutAttempt(r *tandemv1.AttemptRecord) Change {
	return Change{Key{Kind: KindAttempt, ID: r.JobId, Slot: r.Slot, Number: r.Attempt}, r}
}

// PutAgent saves why an agent is to be left, under the agent's ID.
func PutAgent(r *tandemv1.AgentRecord) Change { return Change{Key{Kind: KindAgent, ID: r.AgentId}, r} }

// PutVolume saves a persistent volume, under its ID.
func PutVolume(r *tandemv1.VolumeRecord) Change { return Change{Key{Kind: KindVolume, ID: r.Id}, r} }

// PutRequest saves what a write that carried a key was answered.
func PutRequest(r *tandemv1.RequestRecord) Change {
	return Change{Key{Kind: KindRequest, ID: RequestKey(r.Caller, r.Call, r.Key)}, r}
}

// Snapshot is everything that a scheduler has saved. Slices are in the order of
// their keys.
type Snapshot struct {
	Framework *tandemv1.FrameworkRecord
	Jobs      []*tandemv1.JobRecord
	Versions  []*tandemv1.VersionRecord
	Instances []*tandemv1.InstanceRecord
	Attempts  []*tandemv1.AttemptRecord
	Agents    []*tandemv1.AgentRecord
	Volumes   []*tandemv1.VolumeRecord
	Requests  []*tandemv1.RequestRecord
}

// Add puts a record that a store has decoded into the snapshot. Records of one
// kind must come in the order of their keys.
func (s *Snapshot) Add(m proto.Message) {
	switch r := m.(type) {
	case *tandemv1.FrameworkRecord:
		s.Framework = r
	case *tandemv1.JobRecord:
		s.Jobs = append(s.Jobs, r)
	case *tandemv1.VersionRecord:
		s.Versions = append(s.Versions, r)
	case *tandemv1.InstanceRecord:
		s.Instances = append(s.Instances, r)
	case *tandemv1.AttemptRecord:
		s.Attempts = append(s.Attempts, r)
	case *tandemv1.AgentRecord:
		s.Agents = append(s.Agents, r)
	case *tandemv1.VolumeRecord:
		s.Volumes = append(s.Volumes, r)
	case *tandemv1.RequestRecord:
		s.Requests = append(s.Requests, r)
	}
}

// TaskName is a Mesos task ID in parts. As text it reads
// job.instance.attempt.workload, the job's slashes written as "_" and its
// first slash left out: payments_api.0.3.web. Neither job IDs nor names of
// workloads hold "_" or ".", so that the parts can be told again.
type TaskName struct {
	Job      string
	Slot     int32
	Attempt  uint64
	Workload string
}

// String returns the task ID.
func (n TaskName) String() string {
	job := strings.ReplaceAll(strings.TrimPrefix(n.Job, "/"), "/", "_")
	return job + "." + strconv.FormatInt(int64(n.Slot), 10) + "." + strconv.FormatUint(n.Attempt, 10) + "." + n.Workload
}

// ParseTaskName takes a task ID apart. It reports false for an ID that no
// TaskName has, such as another framework's.
func ParseTaskName(id string) (TaskName, bool) {
	job, slot, attempt, workload, ok := CutTaskName(nil, id)
	if !ok {
		return TaskName{}, false
	}
	return TaskName{string(job), slot, attempt, workload}, true
}

// CutTaskName takes a task ID apart as ParseTaskName does, without memory of its
// own: the job's ID is appended to room, which is returned.
func CutTaskName(room []byte, id string) (job []byte, slot int32, attempt uint64, workload string, ok bool) {
	name, rest, _ := strings.Cut(id, ".")
	first, rest, _ := strings.Cut(rest, ".")
	second, workload, _ := strings.Cut(rest, ".")
	s, ok1 := cutNumber(first)
	attempt, ok2 := cutNumber(second)
	if !ok1 || !ok2 || s > math.MaxInt32 || attempt == 0 || name == "" || workload == "" || strings.Contains(workload, ".") {
		return nil, 0, 0, "", false
	}
	job = append(append(room, '/'), name...)
	for i, c := range job[len(room)+1:] {
		switch c {
		case '_':
			job[len(room)+1+i] = '/'
		case '/':
			return nil, 0, 0, "", false
		}
	}
	return job, int32(s), attempt, workload, true
}

// cutNumber reads a number as strconv.FormatUint writes it, of up to nineteen
// digits or the largest.
func cutNumber(s string) (n uint64, ok bool) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	if len(s) > 19 {
		n, err := strconv.ParseUint(s, 10, 64)
		return n, err == nil
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n, true
}

// Terminal reports whether a task in this state has ended for good and will not
// be heard of again. UNREACHABLE, LOST, UNKNOWN and GONE_BY_OPERATOR are not
// certain ends (mesos.v1.TaskState): of these only GONE_BY_OPERATOR counts,
// since the operator vouches for it; LOST counts, as the master has given the
// task up, though it may come back.
func Terminal(s tandemv1.TaskState) bool {
	switch s {
	case tandemv1.TaskState_TASK_FINISHED, tandemv1.TaskState_TASK_FAILED, tandemv1.TaskState_TASK_KILLED,
		tandemv1.TaskState_TASK_ERROR, tandemv1.TaskState_TASK_LOST, tandemv1.TaskState_TASK_DROPPED,
		tandemv1.TaskState_TASK_GONE, tandemv1.TaskState_TASK_GONE_BY_OPERATOR:
		return true
	}
	return false
}

// Changes yields what saves each record of the snapshot, in the order of Kinds.
func (s Snapshot) Changes() iter.Seq[Change] {
	return func(yield func(Change) bool) {
		if s.Framework != nil && !yield(PutFramework(s.Framework)) {
			return
		}
		_ = each(s.Jobs, PutJob, yield) && each(s.Versions, PutVersion, yield) &&
			each(s.Instances, PutInstance, yield) && each(s.Attempts, PutAttempt, yield) &&
			each(s.Agents, PutAgent, yield) && each(s.Volumes, PutVolume, yield) &&
			each(s.Requests, PutRequest, yield)
	}
}

func each[R any](records []R, put func(R) Change, yield func(Change) bool) bool {
	for _, r := range records {
		if !yield(put(r)) {
			return false
		}
	}
	return true
}

// RunID is the job that is the run of a cron job which was due at a time.
func RunID(job string, due time.Time) string {
	return job + due.UTC().Format("/2006-01-02t15-04-05")
}
