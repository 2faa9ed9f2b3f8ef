package agent

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseResources(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"cpus:8;mem:8192":                "cpus=8 mem=8192",
		" cpus : 0.5 ;\n mem : 1 ; ":     "cpus=0.5 mem=1",
		"ports:[31000-32000, 8080-8081]": "ports=[31000-32000 8080-8081]",
		"disks:{sda, sdb}":               "disks={sda sdb}",
		"cpus(web):2;cpus(*):1":          "cpus(web)=2 cpus=1",
	} {
		rs, err := parseResources(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, r := range rs {
			line := r.Name
			if len(r.Reservations) > 0 {
				line += "(" + r.Reservations[0].GetRole() + ")"
			}
			switch {
			case r.Scalar != nil:
				line += "=" + strconv.FormatFloat(r.Scalar.Value, 'g', -1, 64)
			case r.Ranges != nil:
				var parts []string
				for _, s := range r.Ranges.Range {
					parts = append(parts, fmt.Sprintf("%d-%d", s.Begin, s.End))
				}
				line += "=[" + strings.Join(parts, " ") + "]"
			case r.Set != nil:
				line += "={" + strings.Join(r.Set.Item, " ") + "}"
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestTextThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"cpus":          "has no value: write name:value",
		":1":            "a resource has no name",
		"cpus:":         "cpus: the value is empty",
		"cpus:-1":       "-1 is not an amount",
		"cpus:NaN":      "NaN is not an amount",
		"cpus:many":     `"many" is neither a number, a [range] nor a {set}`,
		"cpus(web:1":    "is not of the form name(role)",
		"ports:[1-2":    "has no closing bracket",
		"ports:[1]":     `"1" is not of the form a-b`,
		"ports:[2-1]":   "range 2-1 ends before it begins",
		"ports:[x-1]":   `"x" is not a whole number`,
		"disks:{a":      "has no closing brace",
		"ports:[1--1]":  `"-1" is not a whole number`,
		"a:1;b:2;c:[1]": `c: "1" is not of the form a-b`,
	} {
		_, err := parseResources(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one that says %q", text, err, want)
		}
	}
}

func FuzzParseResources(f *testing.F) {
	f.Add("cpus:8;mem:8192;disk:20000;ports:[31000-32000]")
	f.Add("cpus(web):2;disks:{a,b}")
	f.Fuzz(func(t *testing.T, text string) {
		rs, err := parseResources(text)
		if err != nil {
			return
		}
		for _, r := range rs {
			if r.Name == "" || (r.Scalar == nil) == (r.Ranges == nil && r.Set == nil) {
				t.Errorf("%q is read as %v", text, r)
			}
		}
		// Whatever is a resource is an attribute, too, but for the roles.
		if _, err := parseAttributes(text); err != nil {
			t.Errorf("%q is no list of attributes: %v", text, err)
		}
	})
}
