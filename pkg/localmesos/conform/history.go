package conform

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The recorded master had had other frameworks before most scenarios began, and
// had counted them. The replay's has not.

var frameworkIDs = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}-[0-9]{4}$`)

// ownFrameworks are the frameworks that a scenario is about.
func ownFrameworks(s *Scenario) map[string]bool {
	own := map[string]bool{}
	add := func(text string) {
		for _, id := range identifiers.FindAllString(text, -1) {
			if frameworkIDs.MatchString(id) {
				own[id] = true
			}
		}
	}
	for _, l := range s.Lines {
		if l.Side != "operator" || l.Dir == "request" {
			add(string(l.Body))
			add(l.Path)
			add(l.Note)
		}
	}
	return own
}

// withoutHistory removes, from lists in an operator's answer, what belongs to
// frameworks that are not the scenario's own.
func withoutHistory(body []byte, own map[string]bool) []byte {
	v, err := decode(body)
	if err != nil {
		return body
	}
	out, err := json.Marshal(prune(v, own))
	if err != nil {
		return body
	}
	return out
}

func prune(v any, own map[string]bool) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = prune(value, own)
		}
	case []any:
		v = slices.DeleteFunc(v, func(element any) bool {
			id := frameworkOf(element)
			return frameworkIDs.MatchString(id) && !own[id]
		})
		for i := range v {
			v[i] = prune(v[i], own)
		}
		return v
	}
	return v
}

// frameworkOf is the framework that an element of a list belongs to, or is.
func frameworkOf(element any) string {
	o, ok := element.(map[string]any)
	if !ok {
		text, _ := element.(string)
		return text
	}
	info, _ := o["framework_info"].(map[string]any)
	task, _ := o["task"].(map[string]any)
	for _, candidate := range []any{o["framework_id"], info["id"], o["id"], task["framework_id"]} {
		if holder, ok := candidate.(map[string]any); ok {
			candidate = holder["value"]
		}
		if id, ok := candidate.(string); ok {
			return id
		}
	}
	return ""
}

// counters compares the names of two sets of counters, whose values tell of all
// that ever was.
func counters(recorded, replayed []byte) []string {
	var a, b map[string]float64
	if json.Unmarshal(recorded, &a) != nil || json.Unmarshal(replayed, &b) != nil {
		return []string{"counters: unreadable"}
	}
	var out []string
	missing := func(of, in map[string]float64, what string) {
		var names []string
		for _, name := range slices.Sorted(maps.Keys(of)) {
			if _, ok := in[name]; !ok && identifiers.FindString(name) == "" {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			out = append(out, "counters: "+what+" "+strings.Join(names, " "))
		}
	}
	missing(a, b, "recorded alone")
	missing(b, a, "replayed alone")
	return out
}
