package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func newHistory(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:   "history JOB",
		Short: "List the versions of a job that are kept",
		Long: `Lists the versions of a job that are kept, the newest first, with what each changed.
"tandem rollback JOB VERSION" goes back to one.`,
		Example: `  tandem history /payments/api`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			res, err := c.ListVersions(cmd.Context(), &tandemv1.ListVersionsRequest{Id: jobID(args[0])})
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, res)
			}
			printHistory(sys, res.GetVersions())
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

func printHistory(sys *System, versions []*tandemv1.VersionRecord) {
	t := &table{}
	t.add("VERSION", "AGE", "INSTANCES", "CHANGED")
	for i, v := range versions {
		changed := ""
		if i+1 < len(versions) {
			changed = strings.Join(changedKeys(versions[i+1].GetSpec(), v.GetSpec()), ", ")
		}
		t.add(strconv.FormatUint(v.GetVersion(), 10), present.Since(sys.Now(), v.GetCreated().AsTime()),
			strconv.Itoa(int(v.GetSpec().GetInstances())), changed)
	}
	t.write(sys)
}

// changedKeys returns the keys of a job file that differ, those of workloads
// with the workload's name.
func changedKeys(before, after *tandemv1.Job) []string {
	var keys []string
	workloads := map[string]*tandemv1.Workload{}
	for _, w := range before.GetWorkloads() {
		workloads[w.GetName()] = w
	}
	for _, key := range differences(before, after) {
		if key != "workloads" {
			keys = append(keys, key)
		}
	}
	for _, w := range after.GetWorkloads() {
		old := workloads[w.GetName()]
		delete(workloads, w.GetName())
		if old == nil {
			keys = append(keys, "new workload "+w.GetName())
			continue
		}
		for _, key := range differences(old, w) {
			keys = append(keys, w.GetName()+"."+key)
		}
	}
	for _, w := range before.GetWorkloads() {
		if workloads[w.GetName()] != nil {
			keys = append(keys, "no workload "+w.GetName())
		}
	}
	return keys
}

// differences returns the keys of the fields in which two messages of one type
// differ.
func differences(before, after proto.Message) []string {
	b, a := before.ProtoReflect(), after.ProtoReflect()
	var keys []string
	for i := range a.Descriptor().Fields().Len() {
		f := a.Descriptor().Fields().Get(i)
		if !same(b, a, f) {
			keys = append(keys, f.JSONName())
		}
	}
	return keys
}

func same(b, a protoreflect.Message, f protoreflect.FieldDescriptor) bool {
	return b.Has(f) == a.Has(f) && b.Get(f).Equal(a.Get(f))
}
