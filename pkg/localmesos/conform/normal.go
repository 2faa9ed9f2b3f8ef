package conform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// This file says what may differ between a recording and its replay.

// varying are fields whose values are another in every run, wherever they
// stand; that there is a value, of its type, is still compared.
var varying = map[string]bool{
	// times
	"timestamp": true, "start_time": true, "elected_time": true, "build_time": true, "build_date": true,
	"registered_time": true, "reregistered_time": true, "unregistered_time": true, "unreachable_time": true,
	"mtime": true, "atime": true, "nanoseconds": true,
	// processes
	"executor_pid": true,
	// what was measured
	"cpus_system_time_secs": true, "cpus_user_time_secs": true, "mem_anon_bytes": true, "mem_cache_bytes": true,
	"mem_file_bytes": true, "mem_kmem_tcp_usage_bytes": true, "mem_kmem_usage_bytes": true, "mem_mapped_file_bytes": true, "mem_rss_bytes": true, "mem_total_bytes": true,
	"size": true, "avg_load_1min": true, "avg_load_5min": true, "avg_load_15min": true, "mem_free_bytes": true,
	// the build
	"git_sha": true, "git_branch": true, "git_tag": true, "build_user": true,
}

// optional are fields that depend on where a Mesos was built.
var optional = map[string]bool{"git_sha": true, "git_branch": true, "git_tag": true}

// varyingHeaders likewise. Content-Length follows from the body, which is
// compared, and whose IDs may be longer.
var varyingHeaders = map[string]bool{"Date": true, "Content-Length": true}

// identifiers are what both runs make up: a master's ID with what it numbers,
// any other UUID, and 16 bytes in base64, which are a status update's UUID.
// One in the recording stands for one in the replay, and always for the same.
var identifiers = regexp.MustCompile(
	`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(-S[0-9]+|-O[0-9]+|-[0-9]{4})?` +
		`|[A-Za-z0-9+/]{22}==`)

// unordered are lists that come out of a hash.
var unordered = map[string]bool{
	"executor_ids": true, "frameworks": true, "completed_frameworks": true, "slaves": true,
	"executors": true, "completed_executors": true, "tasks": true, "completed_tasks": true, "unreachable_tasks": true,
}

// isUnordered says that a field is a list out of a hash: the tasks of /tasks
// have an order, and so have the offers of an event.
func isUnordered(path, key string) bool {
	if key == "offers" {
		return strings.Contains(path, "frameworks[")
	}
	return unordered[key] && path != ".tasks"
}

// named are fields that say where a process runs, which is the machine's
// business.
var named = map[string]bool{"master_hostname": true}

// memoryStatistics is the part of a message that only the kernel knows.
var memoryStatistics = regexp.MustCompile(`(?s)Maximum Used: .*`)

// big is the length from which a text is somebody's data, in which to look for
// identifiers would take minutes.
const big = 1 << 20

// names knows which identifier of the replay stands for which of the recording.
type names struct {
	forward, back map[string]string
	// sent are the numbers that requests held: these come back unchanged.
	sent map[string]bool
}

func newNames() *names {
	return &names{forward: map[string]string{}, back: map[string]string{}, sent: map[string]bool{}}
}

func (n *names) bind(recorded, replayed string) {
	n.forward[recorded], n.back[replayed] = replayed, recorded
}

// translate puts the replay's identifiers into what is about to be sent. One
// that nobody has seen was made up by the sender, and stays.
func (n *names) translate(text string) string {
	if len(text) > big {
		var pairs []string
		for recorded, replayed := range n.forward {
			pairs = append(pairs, recorded, replayed)
		}
		return strings.NewReplacer(pairs...).Replace(text)
	}
	return identifiers.ReplaceAllStringFunc(text, func(id string) string {
		if known, ok := n.forward[id]; ok {
			return known
		}
		n.bind(id, id)
		return id
	})
}

var numberPattern = regexp.MustCompile(`[0-9]+\.[0-9]+`)

// remember notes the numbers of a request.
func (n *names) remember(request string) {
	if len(request) > big {
		return
	}
	for _, number := range numberPattern.FindAllString(request, -1) {
		n.sent[number] = true
	}
}

// alike compares two texts but for their identifiers, which it matches up if
// commit says so.
func (n *names) alike(recorded, replayed string, commit bool) bool {
	if len(recorded) > big {
		return recorded == replayed
	}
	recorded = memoryStatistics.ReplaceAllString(recorded, "")
	replayed = memoryStatistics.ReplaceAllString(replayed, "")
	a, b := identifiers.FindAllString(recorded, -1), identifiers.FindAllString(replayed, -1)
	if len(a) != len(b) ||
		identifiers.ReplaceAllString(recorded, "\x00") != identifiers.ReplaceAllString(replayed, "\x00") {
		return false
	}
	for i := range a {
		known, ok := n.forward[a[i]]
		_, taken := n.back[b[i]]
		switch {
		case ok && known != b[i], !ok && taken:
			return false
		case !ok && commit:
			n.bind(a[i], b[i])
		}
	}
	return true
}

// compare lists where two JSON values differ, as lines of a path and both
// values. Identifiers are matched up if commit says so.
func (n *names) compare(recorded, replayed []byte, commit bool) []string {
	a, errA := decode(recorded)
	b, errB := decode(replayed)
	if errA != nil || errB != nil {
		if n.alike(string(recorded), string(replayed), commit) {
			return nil
		}
		return []string{differ("", string(recorded), string(replayed))}
	}
	if isContainers(a) {
		b = n.aligned(a, b)
	}
	return n.values("", a, b, commit)
}

// isContainers says that a value is what /containers lists, out of a hash.
func isContainers(v any) bool {
	list, _ := v.([]any)
	if len(list) == 0 {
		return false
	}
	first, _ := list[0].(map[string]any)
	return first["container_id"] != nil && first["executor_id"] != nil
}

func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	return v, d.Decode(&v)
}

func differ(path string, recorded, replayed any) string {
	return fmt.Sprintf("%s: recorded %s, replayed %s", strings.TrimPrefix(path, "."), brief(recorded), brief(replayed))
}

// absent stands for a field that is not there.
type absent struct{}

func (absent) String() string { return "nothing" }

const briefLength = 400

func brief(v any) string {
	text := ""
	switch v := v.(type) {
	case absent:
		return v.String()
	case string:
		text = strconv.Quote(v)
	default:
		encoded, _ := json.Marshal(v)
		text = string(encoded)
	}
	if len(text) > briefLength {
		text = text[:briefLength] + "…"
	}
	return text
}

func (n *names) values(path string, a, b any, commit bool) []string {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			return n.objects(path, a, b, commit)
		}
	case []any:
		if b, ok := b.([]any); ok {
			return n.lists(path, a, b, commit)
		}
	case string:
		if b, ok := b.(string); ok && n.alike(a, b, commit) {
			return nil
		}
	case json.Number:
		if b, ok := b.(json.Number); ok && (sameNumber(a.String(), b.String()) ||
			strings.Contains(path, ".limitation.") && nearly(a, b)) {
			return nil
		}
	default:
		if a == b {
			return nil
		}
	}
	return []string{differ(path, a, b)}
}

// nearly compares what the kernel measured.
func nearly(a, b json.Number) bool {
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && math.Abs(x-y) <= 0.01*math.Abs(x)
}

// sameNumber compares numbers, and whether both are written with a point.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && math.Abs(x-y) <= 1e-9*math.Abs(x) &&
		strings.Contains(a, ".") == strings.Contains(b, ".")
}

func (n *names) objects(path string, a, b map[string]any, commit bool) []string {
	a = n.renamed(a)
	var out []string
	keys := make([]string, 0, len(a)+len(b))
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		at := path + "." + key
		x, inA := a[key]
		y, inB := b[key]
		switch {
		case optional[key] && inA != inB:
		case !inA:
			out = append(out, differ(at, absent{}, y))
		case !inB:
			out = append(out, differ(at, x, absent{}))
		case varying[key] && n.mayVary(x, y):
		case named[key]:
		case isUnordered(at, key):
			out = append(out, n.values(at, x, n.aligned(x, y), commit)...)
		default:
			out = append(out, n.values(at, x, y, commit)...)
		}
	}
	return out
}

// renamed gives the keys that are, or hold, identifiers the replay's.
func (n *names) renamed(recorded map[string]any) map[string]any {
	out := make(map[string]any, len(recorded))
	for key, value := range recorded {
		key = identifiers.ReplaceAllStringFunc(key, func(id string) string {
			if known, ok := n.forward[id]; ok {
				return known
			}
			return id
		})
		out[key] = value
	}
	return out
}

// aligned puts the elements of the replay's list in the places of those that
// they are like.
func (n *names) aligned(recorded, replayed any) any {
	a, okA := recorded.([]any)
	b, okB := replayed.([]any)
	if !okA || !okB {
		return replayed
	}
	rest := slices.Clone(b)
	out := make([]any, len(a), len(a)+len(b))
	for i, element := range a {
		like := slices.IndexFunc(rest, func(other any) bool { return len(n.values("", element, other, false)) == 0 })
		if like >= 0 {
			out[i] = rest[like]
			rest = slices.Delete(rest, like, like+1)
		}
	}
	for i := range out {
		if out[i] == nil && len(rest) > 0 {
			out[i], rest = rest[0], rest[1:]
		}
	}
	for len(out) > 0 && out[len(out)-1] == nil {
		out = out[:len(out)-1]
	}
	return append(out, rest...)
}

// mayVary tells whether a value of a varying field is made anew in each run.
func (n *names) mayVary(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		_, ok := b.(json.Number)
		return ok && !n.sent[a.String()]
	case string:
		_, ok := b.(string)
		return ok
	}
	return false
}

func (n *names) lists(path string, a, b []any, commit bool) []string {
	var out []string
	for i := range max(len(a), len(b)) {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(a):
			out = append(out, differ(at, absent{}, b[i]))
		case i >= len(b):
			out = append(out, differ(at, a[i], absent{}))
		default:
			out = append(out, n.values(at, a[i], b[i], commit)...)
		}
	}
	return out
}

// headers lists where the headers of an answer differ. Their order is nobody's
// business.
func (n *names) headers(recorded []Header, answer *head, commit bool) []string {
	var out []string
	replayed := answer.Header.Clone()
	if answer.Chunked {
		replayed["Transfer-Encoding"] = []string{"chunked"}
	}
	for _, h := range recorded {
		name := http.CanonicalHeaderKey(h.Name)
		values := replayed[name]
		delete(replayed, name)
		switch {
		case len(values) == 0:
			out = append(out, differ("header "+h.Name, h.Value, absent{}))
		case varyingHeaders[h.Name]:
		case len(values) > 1 || !n.alike(h.Value, values[0], commit):
			out = append(out, differ("header "+h.Name, h.Value, strings.Join(values, ", ")))
		}
	}
	extra := make([]string, 0, len(replayed))
	for name := range replayed {
		extra = append(extra, name)
	}
	slices.Sort(extra)
	for _, name := range extra {
		out = append(out, differ("header "+name, absent{}, replayed.Get(name)))
	}
	return out
}

// steady returns what both runs' executors see alike, of one of the things that
// an executor sees: text is JSON.
func steady(key string, text []byte) []byte {
	var lines []string
	var values map[string]string
	switch key {
	case "cgroup_limits":
		if json.Unmarshal(text, &values) != nil {
			return text
		}
		for _, counter := range []string{"freezer.state", "memory.oom_control", "pids.current"} {
			delete(values, counter)
		}
		out, _ := json.Marshal(values)
		return out
	case "args", "env", "fds", "proc_self_cgroup", "sandbox":
		if json.Unmarshal(text, &lines) != nil {
			return text
		}
	default:
		return text
	}
	var kept []string
	for i, line := range lines {
		if line, ok := steadyLine(key, i, line); ok {
			kept = append(kept, line)
		}
	}
	slices.Sort(kept)
	out, _ := json.Marshal(kept)
	return out
}

// containerControllers are those in which a container has a cgroup.
var containerControllers = map[string]bool{"cpu": true, "cpuacct": true, "memory": true, "pids": true, "freezer": true}

func steadyLine(key string, i int, line string) (string, bool) {
	switch key {
	case "args":
		// The program's own name is the file server's business.
		return line, i > 0
	case "env":
		// Shells set it, or not.
		return line, !strings.HasPrefix(line, "PWD=")
	case "fds":
		// Others are the runtime's.
		return line, strings.HasPrefix(line, "0 ") || strings.HasPrefix(line, "1 ") || strings.HasPrefix(line, "2 ")
	case "proc_self_cgroup":
		// How machines number and join hierarchies is their own affair.
		_, rest, _ := strings.Cut(line, ":")
		controllers, _, _ := strings.Cut(rest, ":")
		return rest, containerControllers[controllers]
	default: // sandbox: mode, owner, size, name, target
		fields := strings.Fields(line)
		if len(fields) < 4 {
			return line, true
		}
		fields[2] = "size"
		return strings.TrimSuffix(strings.Join(fields, " "), " ->"), true
	}
}
