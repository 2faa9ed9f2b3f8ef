package api

import (
	"fmt"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// needs returns what each procedure of a service needs of its caller, as its
// definition says. It fails when one does not say it, or says that its requests
// name jobs and they cannot.
func needs(service protoreflect.ServiceDescriptor) (map[string]*tandemv1.Needs, error) {
	all := map[string]*tandemv1.Needs{}
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		need, _ := proto.GetExtension(method.Options(), tandemv1.E_Needs).(*tandemv1.Needs)
		switch {
		case need.GetRight() == tandemv1.Right_RIGHT_UNSPECIFIED || need.GetScope() == tandemv1.Scope_SCOPE_UNSPECIFIED:
			return nil, fmt.Errorf("%s does not say which right it needs", method.FullName())
		case need.GetScope() == tandemv1.Scope_SCOPE_NAMED && !canName(method.Input()):
			return nil, fmt.Errorf("%s needs a right for the jobs that are named, but %s can name none", method.FullName(), method.Input().FullName())
		}
		all[fmt.Sprintf("/%s/%s", service.FullName(), method.Name())] = need
	}
	return all, nil
}

// naming is how a field of a request names jobs.
type naming int

const (
	namesNothing naming = iota
	namesJob
	namesTask
	namesVolume
	holdsJob
)

func namingOf(fd protoreflect.FieldDescriptor) naming {
	switch fd.Kind() {
	case protoreflect.StringKind:
		switch fd.Name() {
		case "id", "ids", "job_id", "job_ids":
			return namesJob
		case "task_id", "task_ids":
			return namesTask
		case "volume_id":
			return namesVolume
		}
	case protoreflect.MessageKind:
		if fd.Message().FullName() == (&tandemv1.Job{}).ProtoReflect().Descriptor().FullName() {
			return holdsJob
		}
	}
	return namesNothing
}

func canName(request protoreflect.MessageDescriptor) bool {
	for i := range request.Fields().Len() {
		if namingOf(request.Fields().Get(i)) != namesNothing {
			return true
		}
	}
	return false
}

// named returns the IDs of the jobs that a request names, by themselves or by what
// belongs to them. It fails when it names a task by what can be no task's ID, or a
// volume of which owner does not know the job.
func named(request protoreflect.Message, owner func(volume string) (job string, ok bool)) (ids []string, err error) {
	request.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		how := namingOf(fd)
		if how == namesNothing || fd.IsMap() {
			return true
		}
		if !fd.IsList() {
			ids, err = withNamed(ids, how, v, owner)
			return err == nil
		}
		for i := range v.List().Len() {
			if ids, err = withNamed(ids, how, v.List().Get(i), owner); err != nil {
				return false
			}
		}
		return true
	})
	return ids, err
}

func withNamed(ids []string, how naming, v protoreflect.Value, owner func(string) (string, bool)) ([]string, error) {
	switch how {
	case namesTask:
		name, ok := state.ParseTaskName(v.String())
		if !ok {
			return ids, noTask(v.String())
		}
		return append(ids, name.Job), nil
	case namesVolume:
		job, ok := owner(v.String())
		if !ok {
			return ids, noVolume(v.String())
		}
		return append(ids, job), nil
	case holdsJob:
		job, _ := v.Message().Interface().(*tandemv1.Job)
		return append(ids, job.GetId()), nil
	}
	return append(ids, v.String()), nil
}

// choices are the numbers and choices of a request for the audit log, and what it
// is about where that is no job. Of a list of texts it is their number: one of them
// may be a secret.
func choices(request protoreflect.Message) map[string]string {
	chosen := map[string]string{}
	choose(chosen, "", request)
	return chosen
}

func choose(chosen map[string]string, before string, m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := before + string(fd.Name())
		words := fd.Kind() == protoreflect.StringKind || fd.Kind() == protoreflect.BytesKind
		switch {
		case about(fd, v):
			chosen[name] = v.String()
		case fd.IsMap() || namingOf(fd) != namesNothing:
		case fd.IsList() && words:
			chosen[name] = fmt.Sprintf("%d texts", v.List().Len())
		case fd.IsList() && fd.Message() == nil:
			var list []any
			for i := range v.List().Len() {
				list = append(list, v.List().Get(i).Interface())
			}
			chosen[name] = fmt.Sprint(list)
		case fd.IsList() || words:
		case fd.Message() != nil:
			if d, ok := v.Message().Interface().(*durationpb.Duration); ok {
				chosen[name] = d.AsDuration().String()
				return true
			}
			choose(chosen, name+".", v.Message())
		case fd.Kind() == protoreflect.EnumKind:
			chosen[name] = string(nameOf(fd.Enum(), v.Enum()))
		default:
			chosen[name] = v.String()
		}
		return true
	})
}

// longestName is that of a task with the longest job's and workload's names that
// are accepted, or of a host.
const longestName = 512

// about reports whether a field says what a request is about, beside jobs, in a
// word that can be no secret.
func about(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	if fd.Kind() != protoreflect.StringKind || fd.IsList() || len(v.String()) > longestName {
		return false
	}
	switch fd.Name() {
	case "task_id", "volume_id", "agent":
		return true
	case "signal":
		return unix.SignalNum(v.String()) != 0
	}
	return false
}

func nameOf(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) protoreflect.Name {
	if v := e.Values().ByNumber(n); v != nil {
		return v.Name()
	}
	return protoreflect.Name(fmt.Sprint(n))
}
