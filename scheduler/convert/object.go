package convert

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

// object is a mapping of the source that knows which of its keys have been
// read, so that none is passed over without a word.
type object struct {
	keys map[string]any
	read map[string]bool
	// at is its place in the source, empty for the whole.
	at string
	// remarks are those of the whole source.
	remarks *[]Remark
}

func asObject(v any) (object, bool) {
	keys := map[string]any{}
	switch m := v.(type) {
	case map[string]any:
		keys = m
	case map[any]any:
		for k, e := range m {
			keys[fmt.Sprint(k)] = e
		}
	default:
		return object{}, false
	}
	return object{keys: keys, read: map[string]bool{}, remarks: new([]Remark)}, true
}

func (o object) has(key string) bool {
	v, ok := o.keys[key]
	return ok && v != nil
}

// take returns a value, which counts as read from now on.
func (o object) take(key string) any {
	o.read[key] = true
	return o.keys[key]
}

// forget marks keys as read that mean nothing for a job.
func (o object) forget(keys ...string) {
	for _, key := range keys {
		o.read[key] = true
	}
}

// remark says something of a key.
func (o object) remark(key, format string, args ...any) {
	*o.remarks = append(*o.remarks, Remark{Field: o.place(key), Text: fmt.Sprintf(format, args...)})
}

func (o object) place(key string) string {
	if o.at == "" {
		return key
	}
	if key == "" {
		return o.at
	}
	return o.at + "." + key
}

// leave says of a key, when it is there and not empty, what becomes of it.
func (o object) leave(key, text string) {
	if !empty(o.take(key)) {
		o.remark(key, "%s", text)
	}
}

// rest says of every key that nobody has read that it was left out.
func (o object) rest() {
	for _, key := range slices.Sorted(maps.Keys(o.keys)) {
		if !o.read[key] && !empty(o.keys[key]) {
			o.remark(key, "left out: it has no counterpart")
		}
	}
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	case map[any]any:
		return len(v) == 0
	}
	return false
}

// text returns a string, a number or a boolean as text.
func (o object) text(key string) string {
	v := o.take(key)
	switch v.(type) {
	case nil:
		return ""
	case string, bool, int, int64, uint64, float64:
		return scalar(v)
	}
	o.remark(key, "left out: it is not plain text")
	return ""
}

func scalar(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// number returns a number, or the default where there is none.
func (o object) number(key string, byDefault float64) float64 {
	v := o.take(key)
	n := math.NaN()
	switch v := v.(type) {
	case nil:
		return byDefault
	case int:
		n = float64(v)
	case int64:
		n = float64(v)
	case uint64:
		n = float64(v)
	case float64:
		n = v
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			n = f
		}
	}
	if math.IsNaN(n) || math.IsInf(n, 0) {
		o.remark(key, "left out: it is not a number")
		return byDefault
	}
	return n
}

// whole returns a number without a fraction within what an int32 holds.
func (o object) whole(key string, byDefault int32) int32 {
	n := o.number(key, float64(byDefault))
	if n != math.Trunc(n) || n < math.MinInt32 || n > math.MaxInt32 {
		o.remark(key, "left out: it is not a whole number, or too large")
		return byDefault
	}
	return int32(n)
}

// seconds returns a number of seconds as a duration, or the default.
func (o object) seconds(key string, byDefault time.Duration) *durationpb.Duration {
	n := o.number(key, byDefault.Seconds())
	if n < 0 || n > (100*365*24*time.Hour).Seconds() {
		o.remark(key, "left out: it is not a number of seconds")
		return durationpb.New(byDefault)
	}
	return durationpb.New(time.Duration(n * float64(time.Second)).Round(time.Millisecond))
}

// span returns a time such as 1m30s as a duration, or the default.
func (o object) span(key string, byDefault time.Duration) *durationpb.Duration {
	text := o.text(key)
	if text == "" {
		return durationpb.New(byDefault)
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		o.remark(key, "left out: it is not a time such as 30s")
		return durationpb.New(byDefault)
	}
	return durationpb.New(d)
}

func (o object) yes(key string) bool {
	switch v := o.take(key).(type) {
	case bool:
		return v
	case string:
		return v == "true"
	}
	return false
}

// inside returns an object below this one; without the key it is empty.
func (o object) inside(key string) object {
	return o.below(key, o.take(key))
}

func (o object) below(key string, v any) object {
	inner, ok := asObject(v)
	if !ok {
		inner = object{read: map[string]bool{}}
		if !empty(v) {
			o.remark(key, "left out: it is not an object")
		}
	}
	inner.at, inner.remarks = o.place(key), o.remarks
	return inner
}

// list returns the elements of a list; anything else is a list of one.
func (o object) list(key string) []any {
	switch v := o.take(key).(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// objects returns the elements of a list of objects.
func (o object) objects(key string) []object {
	var all []object
	for i, v := range o.list(key) {
		all = append(all, o.below(fmt.Sprintf("%s[%d]", key, i), v))
	}
	return all
}

func (o object) words(key string) []string {
	var all []string
	for _, v := range o.list(key) {
		all = append(all, scalar(v))
	}
	return all
}
