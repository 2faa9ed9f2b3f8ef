package jobspec

import (
	"path"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Default writes every default of the job out, in place. What is given stays as
// it is, so that doing it again changes nothing. The user is left alone: only
// the scheduler knows its default.
func Default(job *tandemv1.Job) {
	if job.Type == tandemv1.JobType_JOB_TYPE_UNSPECIFIED {
		job.Type = tandemv1.JobType_JOB_TYPE_SERVICE
	}
	if job.Instances == nil && job.Type != tandemv1.JobType_JOB_TYPE_DAEMON {
		job.Instances = proto.Int32(1)
	}
	for _, p := range job.Prefer {
		if p.Weight == 0 {
			p.Weight = 50
		}
	}
	if endless(job.Type) {
		defaultUpdate(made(&job.Update))
	}
	if job.Rebalance != nil {
		span(&job.Rebalance.Interval, 30*time.Minute)
	}
	defaultRestart(made(&job.Restart), job.Type)
	defaultUnreachable(made(&job.Unreachable))
	if job.Schedule != nil {
		if job.Schedule.TimeZone == "" {
			job.Schedule.TimeZone = "UTC"
		}
		if job.Schedule.Overlap == tandemv1.Overlap_OVERLAP_UNSPECIFIED {
			job.Schedule.Overlap = tandemv1.Overlap_OVERLAP_FORBID
		}
		span(&job.Schedule.CatchUp, 0)
	}
	executor := made(&job.Executor)
	resources := made(&executor.Resources)
	amount(&resources.Cpus, 0.1)
	amount(&resources.Mem, 32)
	amount(&resources.Disk, 16)
	if executor.Share == tandemv1.ExecutorShare_EXECUTOR_SHARE_UNSPECIFIED {
		executor.Share = tandemv1.ExecutorShare_EXECUTOR_SHARE_INSTANCE
	}
	for _, v := range job.Volumes {
		if v.WhenLost == tandemv1.WhenLost_WHEN_LOST_UNSPECIFIED {
			v.WhenLost = tandemv1.WhenLost_WHEN_LOST_WAIT
		}
		if v.Disk == tandemv1.VolumeDisk_VOLUME_DISK_UNSPECIFIED {
			v.Disk = tandemv1.VolumeDisk_VOLUME_DISK_ROOT
		}
	}
	for _, w := range job.Workloads {
		defaultWorkload(w, job.User)
	}
}

// endless says whether instances of the type run until they are stopped.
func endless(t tandemv1.JobType) bool {
	return t == tandemv1.JobType_JOB_TYPE_SERVICE || t == tandemv1.JobType_JOB_TYPE_DAEMON
}

func defaultUpdate(u *tandemv1.UpdatePolicy) {
	if u.MaxParallel == 0 {
		u.MaxParallel = 1
	}
	span(&u.MinHealthyTime, 10*time.Second)
	span(&u.ProgressDeadline, 10*time.Minute)
	if u.AutoRevert == nil {
		u.AutoRevert = proto.Bool(true)
	}
}

func defaultRestart(r *tandemv1.RestartPolicy, t tandemv1.JobType) {
	if r.Attempts == nil {
		r.Attempts = proto.Int32(0)
		if endless(t) {
			r.Attempts = proto.Int32(10)
		}
	}
	span(&r.Interval, 10*time.Minute)
	span(&r.Delay, time.Second)
	amount(&r.Factor, 2)
	span(&r.MaxDelay, 5*time.Minute)
}

func defaultUnreachable(u *tandemv1.UnreachablePolicy) {
	span(&u.InactiveAfter, 5*time.Minute)
	span(&u.ExpungeAfter, 10*time.Minute)
}

func defaultWorkload(w *tandemv1.Workload, user string) {
	if w.Lifecycle == tandemv1.Lifecycle_LIFECYCLE_UNSPECIFIED {
		w.Lifecycle = tandemv1.Lifecycle_LIFECYCLE_MAIN
	}
	if w.Essential == nil {
		w.Essential = proto.Bool(w.Lifecycle == tandemv1.Lifecycle_LIFECYCLE_INIT ||
			w.Lifecycle == tandemv1.Lifecycle_LIFECYCLE_MAIN)
	}
	if w.User == "" {
		w.User = user
	}
	resources := made(&w.Resources)
	amount(&resources.Cpus, 0.1)
	amount(&resources.Mem, 64)
	limits := made(&w.Limits)
	if limits.Mem == nil {
		limits.Mem = proto.Float64(resources.Mem)
	}
	if limits.Nofile == nil {
		limits.Nofile = proto.Int64(1024)
	}
	// Without io no controller of block input and output is needed, and none
	// is asked of the agent.
	if limits.Io != nil && limits.Io.Weight == 0 {
		limits.Io.Weight = 100
	}
	if limits.Policy == tandemv1.LimitsPolicy_LIMITS_POLICY_UNSPECIFIED {
		limits.Policy = tandemv1.LimitsPolicy_LIMITS_POLICY_REQUIRE
	}
	for _, f := range w.Fetch {
		defaultFetch(f)
	}
	firstPort := ""
	if len(w.Ports) > 0 {
		firstPort = w.Ports[0].GetName()
	}
	defaultCheck(w.HealthCheck, firstPort)
	defaultCheck(w.ReadinessCheck, firstPort)
	kill := made(&w.Kill)
	if kill.Signal == "" {
		kill.Signal = "SIGTERM"
	}
	span(&kill.GracePeriod, 30*time.Second)
	defaultHTTP(kill.PreStopHttp, firstPort)
	if r := w.Restart; r != nil {
		if r.Attempts == nil {
			r.Attempts = proto.Int32(3)
		}
		span(&r.Interval, 10*time.Minute)
		span(&r.Delay, time.Second)
		amount(&r.Factor, 2)
		span(&r.MaxDelay, max(time.Minute, r.Delay.AsDuration()))
	}
	if w.Logs.GetMaxFiles() > 0 && w.Logs.MaxFileSize == 0 {
		w.Logs.MaxFileSize = 10 << 20
	}
}

// archives are the endings of names that are unpacked.
var archives = []string{".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".tar.zst", ".zip"}

func defaultFetch(f *tandemv1.Fetch) {
	name := uriPath(f.Uri)
	if f.Extract == nil {
		archive := f.Rootfs
		for _, ending := range archives {
			archive = archive || strings.HasSuffix(name, ending)
		}
		f.Extract = proto.Bool(archive && !f.Executable)
	}
	if f.DestPath == "" && name != "" {
		if base := path.Base(name); base != "/" && base != "." && base != ".." {
			f.DestPath = base
		}
	}
	f.Sha256 = strings.ToLower(f.Sha256)
}

func defaultCheck(c *tandemv1.HealthCheck, firstPort string) {
	if c == nil {
		return
	}
	defaultHTTP(c.GetHttp(), firstPort)
	if tcp := c.GetTcp(); tcp != nil && tcp.Port == "" {
		tcp.Port = firstPort
	}
	span(&c.GracePeriod, 30*time.Second)
	span(&c.Delay, 0)
	span(&c.Interval, 10*time.Second)
	span(&c.Timeout, 5*time.Second)
	if c.MaxConsecutiveFailures == 0 {
		c.MaxConsecutiveFailures = 3
	}
}

func defaultHTTP(h *tandemv1.HttpCheck, firstPort string) {
	if h == nil {
		return
	}
	if h.Port == "" {
		h.Port = firstPort
	}
	if h.Path == "" {
		h.Path = "/"
	}
	if h.Scheme == "" {
		h.Scheme = "http"
	}
}

// made returns what the pointer points to, after making it where there is
// nothing.
func made[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

func span(p **durationpb.Duration, d time.Duration) {
	if *p == nil {
		*p = durationpb.New(d)
	}
}

func amount(p *float64, v float64) {
	if *p == 0 {
		*p = v
	}
}
