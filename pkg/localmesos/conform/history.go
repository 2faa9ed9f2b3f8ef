package conform

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// The recorded master had had other frameworks before most scenarios began, and
// had counted them. The replay's has not.

// ownFrameworks are the frameworks that a scenario is about.
func ownFrameworks(s *Scenario) map[string]bool {
	own := map[string]bool{}
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if id := frameworkOf(v); id != "" {
				own[id] = true
			}
			for _, value := range v {
				collect(value)
			}
		case []any:
			for _, value := range v {
				collect(value)
			}
		}
	}
	for _, l := range s.Lines {
		if v, err := decode(l.Body); err == nil && (l.Side != "operator" || l.Dir == "request") {
			collect(v)
		}
		text := l.Path + " " + l.Note
		if l.Text != nil {
			text += *l.Text
		}
		for _, id := range identifiers.FindAllString(text, -1) {
			own[id] = true
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
	out, err := json.Marshal(prune("", v, own))
	if err != nil {
		return body
	}
	return out
}

// frameworkLists are lists of frameworks in /state and its like, and of their
// IDs.
var frameworkLists = map[string]bool{"frameworks": true, "completed_frameworks": true, "unregistered_frameworks": true}

func prune(key string, v any, own map[string]bool) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = prune(key, value, own)
		}
	case []any:
		v = slices.DeleteFunc(v, func(element any) bool {
			id := frameworkOf(element)
			if o, ok := element.(map[string]any); ok && id == "" && frameworkLists[key] {
				id, _ = o["id"].(string)
			}
			if text, ok := element.(string); ok && frameworkLists[key] {
				id = text
			}
			return id != "" && !own[id]
		})
		for i := range v {
			v[i] = prune("", v[i], own)
		}
		return v
	}
	return v
}

// frameworkOf is the framework that an object says it belongs to.
func frameworkOf(element any) string {
	o, ok := element.(map[string]any)
	if !ok {
		return ""
	}
	info, _ := o["framework_info"].(map[string]any)
	task, _ := o["task"].(map[string]any)
	for _, candidate := range []any{o["framework_id"], info["id"], task["framework_id"]} {
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
