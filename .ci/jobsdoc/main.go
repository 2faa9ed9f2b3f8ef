// Command jobsdoc is a plugin of buf that writes docs/jobs.md from the comments
// of proto/tandem/v1/job.proto, so that what people read of a job file is what
// stands beside the fields.
package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func main() {
	protogen.Options{}.Run(func(p *protogen.Plugin) error {
		p.SupportedFeatures = 1 // proto3's optional fields
		for _, f := range p.Files {
			if f.Generate && f.Desc.Path() == "tandem/v1/job.proto" {
				out := p.NewGeneratedFile("jobs.md", "")
				write(out, f)
			}
		}
		return nil
	})
}

const introduction = `<!-- Written by make proto from the comments in proto/tandem/v1/job.proto. -->

# Job files

A job file is one YAML or JSON document. Unknown keys are refused. ` + "`tandem init`" + `
writes a file to start from, ` + "`tandem validate FILE`" + ` says all that is wrong with
one, and ` + "`tandem inspect JOB`" + ` shows a job with every default written out.

Times are such as ` + "`500ms`, `10s` or `1h30m`" + `. Sizes are plain numbers in MiB, or
such as ` + "`256Mi` or `1Gi`" + `. In the tables below, *required* and *default* are said
where they matter.
`

func write(out *protogen.GeneratedFile, f *protogen.File) {
	out.P(introduction)
	enums := map[string]*protogen.Enum{}
	for _, e := range f.Enums {
		enums[string(e.Desc.FullName())] = e
	}
	for _, m := range f.Messages {
		if m.Desc.Name() == "EnvValue" {
			// It is written as plain text, as its use says.
			continue
		}
		out.P("## ", m.Desc.Name())
		out.P()
		out.P(prose(m.Comments.Leading))
		out.P()
		out.P("| key | value | |")
		out.P("|---|---|---|")
		for _, field := range m.Fields {
			out.P("| `", field.Desc.JSONName(), "` | ", kind(field), " | ", cell(field), " |")
		}
		out.P()
		for _, field := range m.Fields {
			if field.Enum == nil || enums[string(field.Enum.Desc.FullName())] == nil {
				continue
			}
			delete(enums, string(field.Enum.Desc.FullName()))
			writeEnum(out, field.Enum)
		}
	}
}

func writeEnum(out *protogen.GeneratedFile, e *protogen.Enum) {
	out.P("### ", e.Desc.Name())
	out.P()
	out.P(prose(e.Comments.Leading))
	out.P()
	for _, v := range e.Values {
		if v.Desc.Number() != 0 {
			out.P("- `", word(e, v), "`: ", lowerFirst(prose(v.Comments.Leading)))
		}
	}
	out.P()
}

// word is how a job file writes an enum's value.
func word(e *protogen.Enum, v *protogen.EnumValue) string {
	prefix := snake(string(e.Desc.Name())) + "_"
	name := strings.TrimPrefix(string(v.Desc.Name()), prefix)
	if e.Desc.Name() == "ConstraintOperator" {
		return name
	}
	return strings.ToLower(name)
}

func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToUpper(string(r)))
	}
	return b.String()
}

func kind(f *protogen.Field) string {
	switch {
	case f.Desc.IsMap():
		return "mapping of names to text"
	case f.Desc.IsList():
		return "list of " + single(f)
	}
	return single(f)
}

func single(f *protogen.Field) string {
	switch {
	case f.Enum != nil:
		return link(string(f.Enum.Desc.Name()))
	case f.Message != nil && f.Message.Desc.FullName() == "google.protobuf.Duration":
		return "time"
	case f.Message != nil && f.Message.Desc.FullName() == "google.protobuf.Struct":
		return "mapping"
	case f.Message != nil:
		return link(string(f.Message.Desc.Name()))
	}
	switch f.Desc.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "text"
	}
	return "number"
}

func link(name string) string { return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name)) }

// cell is a field's comment; of a choice it says so.
func cell(f *protogen.Field) string {
	text := prose(f.Comments.Leading)
	if o := f.Oneof; o != nil && !o.Desc.IsSynthetic() {
		text = strings.TrimSpace("One of the kinds. " + text)
	}
	return strings.ReplaceAll(text, "|", `\|`)
}

// prose is a comment as one paragraph.
func prose(c protogen.Comments) string { return strings.Join(strings.Fields(string(c)), " ") }

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
