package api

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// page returns at most size of all, which stand in an order, after the one whose
// key the token holds, and the token of the next page if there is one. A page stays where it is
// when others come and go.
func page[T any](all []T, size int32, token string, key func(T) string, after func(T, string) bool) (part []T, next *string, err error) {
	if size < 0 {
		return nil, nil, refusedFields("there is no such page", []jobspec.Problem{{Field: "pageSize", Reason: "must not be negative"}})
	}
	if token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, nil, refusedFields("there is no such page", []jobspec.Problem{{Field: "pageToken", Reason: "is not one that was given out"}})
		}
		at := slices.IndexFunc(all, func(e T) bool { return after(e, string(last)) })
		if at < 0 {
			at = len(all)
		}
		all = all[at:]
	}
	if size == 0 || len(all) <= int(size) {
		return all, nil, nil
	}
	more := base64.RawURLEncoding.EncodeToString([]byte(key(all[size-1])))
	return all[:size], &more, nil
}

// ordered is page for what is in the order of its keys.
func ordered[T any](all []T, size int32, token string, key func(T) string) ([]T, *string, error) {
	return page(all, size, token, key, func(e T, last string) bool { return key(e) > last })
}

func pageOfJobs(jobs []*tandemv1.JobRecord, size int32, token string) ([]*tandemv1.JobRecord, *string, error) {
	return ordered(jobs, size, token, func(j *tandemv1.JobRecord) string { return j.GetSpec().GetId() })
}

func pageOfInstances(instances []*tandemv1.InstanceView, size int32, token string) ([]*tandemv1.InstanceView, *string, error) {
	return page(instances, size, token, func(i *tandemv1.InstanceView) string { return strconv.Itoa(int(i.GetInstance().GetSlot())) },
		func(i *tandemv1.InstanceView, last string) bool {
			slot, err := strconv.Atoi(last)
			return err != nil || int(i.GetInstance().GetSlot()) > slot
		})
}

// pageOfVersions pages through versions, the newest of which come first.
func pageOfVersions(versions []*tandemv1.VersionRecord, size int32, token string) ([]*tandemv1.VersionRecord, *string, error) {
	return page(versions, size, token, func(v *tandemv1.VersionRecord) string { return strconv.FormatUint(v.GetVersion(), 10) },
		func(v *tandemv1.VersionRecord, last string) bool {
			version, err := strconv.ParseUint(last, 10, 64)
			return err != nil || v.GetVersion() < version
		})
}

// labelled reports whether a job has all labels, each name=value or name.
func labelled(job *tandemv1.Job, labels []string) bool {
	return !slices.ContainsFunc(labels, func(l string) bool {
		name, want, valued := strings.Cut(l, "=")
		value, ok := job.GetLabels()[name]
		return !ok || valued && value != want
	})
}

// below reports whether a job has a path or one below it.
func below(id, path string) bool {
	path = strings.TrimRight(path, "/")
	return id == path || strings.HasPrefix(id, path+"/")
}

// checkMask refuses a mask that names what a message does not have.
func checkMask(mask *fieldmaskpb.FieldMask, of protoreflect.MessageDescriptor) error {
	for _, path := range mask.GetPaths() {
		at, parts := of, strings.Split(path, ".")
		for i, name := range parts {
			var fd protoreflect.FieldDescriptor
			if at != nil {
				fd = at.Fields().ByName(protoreflect.Name(name))
			}
			if fd == nil {
				return refusedFields("the mask cannot be used", []jobspec.Problem{{
					Field: "readMask", Reason: fmt.Sprintf("%q names no field: there is no %s", path, strings.Join(parts[:i+1], ".")),
				}})
			}
			at = fd.Message()
			if fd.IsMap() {
				at = nil
			}
		}
	}
	return nil
}

// masked returns a message with the fields of a mask alone, which share what they
// hold with the message that is given. Without a mask it returns that itself.
func masked[M proto.Message](m M, mask *fieldmaskpb.FieldMask) M {
	if len(mask.GetPaths()) == 0 {
		return m
	}
	part, _ := partOf(m.ProtoReflect(), mask.GetPaths()).Interface().(M)
	return part
}

// allMasked returns messages with the fields of a mask alone, as masked does.
func allMasked[M proto.Message](all []M, mask *fieldmaskpb.FieldMask) []M {
	if len(mask.GetPaths()) == 0 {
		return all
	}
	parts := make([]M, len(all))
	for i, m := range all {
		parts[i] = masked(m, mask)
	}
	return parts
}

func partOf(m protoreflect.Message, paths []string) protoreflect.Message {
	inner := map[string][]string{}
	for _, path := range paths {
		name, rest, _ := strings.Cut(path, ".")
		if old, ok := inner[name]; ok && old == nil {
			continue // All of it is wanted already.
		}
		if rest == "" {
			inner[name] = nil
			continue
		}
		inner[name] = append(inner[name], rest)
	}
	part := m.New()
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		rest, wanted := inner[string(fd.Name())]
		switch {
		case !wanted:
		case rest == nil || fd.Message() == nil || fd.IsMap():
			part.Set(fd, v)
		case fd.IsList():
			list := part.Mutable(fd).List()
			for i := range v.List().Len() {
				list.Append(protoreflect.ValueOfMessage(partOf(v.List().Get(i).Message(), rest)))
			}
		default:
			part.Set(fd, protoreflect.ValueOfMessage(partOf(v.Message(), rest)))
		}
		return true
	})
	return part
}
