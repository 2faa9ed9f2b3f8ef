package jobspec

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tandem-mesos/tandem/pkg/schedule"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// MaxInstances is the most instances that a job may have.
const MaxInstances = 100_000

// Validate returns what is wrong with a job whose defaults are written out:
// fields that break their own rule or another's. The problems have no place, and
// stand in the order of the fields.
func Validate(job *tandemv1.Job) []Problem {
	return validate(job, false)
}

// validate is Validate, and lets relative URIs pass if asked to.
func validate(job *tandemv1.Job, relative bool) []Problem {
	c := &checker{relative: relative}
	c.job(job)
	return c.problems
}

// checker collects what is wrong with one job.
type checker struct {
	relative bool
	problems []Problem
}

func (c *checker) refuse(field, reason string, args ...any) {
	c.problems = append(c.problems, Problem{Field: field, Reason: fmt.Sprintf(reason, args...)})
}

func (c *checker) suggest(field, suggestion, reason string, args ...any) {
	c.problems = append(c.problems, Problem{Field: field, Reason: fmt.Sprintf(reason, args...), Suggestion: suggestion})
}

func (c *checker) job(job *tandemv1.Job) {
	c.jobID(job.Id)
	switch n := job.GetInstances(); {
	case job.Type == tandemv1.JobType_JOB_TYPE_DAEMON && job.Instances != nil:
		c.refuse("instances", "is not for a daemon, which has one instance on every agent that fits")
	case n < 0:
		c.refuse("instances", "must not be negative")
	case n > MaxInstances:
		c.refuse("instances", "must be at most %d", MaxInstances)
	}
	c.user("user", job.User)
	for key, value := range ordered(job.Labels) {
		field := join("labels", key)
		if key == "" || len(key) > 63 {
			c.refuse(field, "a label's name has 1 to 63 characters")
		}
		if len(value) > 255 {
			c.refuse(field, "has %d characters; a label's value has at most 255", len(value))
		}
		c.text(field, value)
	}
	for i, k := range job.Constraints {
		c.constraint(fmt.Sprintf("constraints[%d]", i), k.GetAttribute(), k.GetOperator(), k.GetValue())
	}
	for i, p := range job.Prefer {
		c.preference(fmt.Sprintf("prefer[%d]", i), p)
	}
	c.update(job)
	c.rebalance(job)
	c.restart(job.Restart)
	c.atLeast("unreachable.inactiveAfter", job.GetUnreachable().GetInactiveAfter(), 0)
	if u := job.GetUnreachable(); u.GetExpungeAfter().AsDuration() < u.GetInactiveAfter().AsDuration() {
		c.refuse("unreachable.expungeAfter", "must be at least inactiveAfter, %s", u.GetInactiveAfter().AsDuration())
	}
	c.schedule(job)
	c.executor(job.GetExecutor())
	c.workloads(job)
	c.volumes(job)
}

var (
	segment = regexp.MustCompile(`^[a-z0-9-]+$`)
	// Names stand in task IDs, which lead to names of directories.
	name      = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	attribute = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)
	userName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?$`)
)

// jobID checks a job's path. Together with the rules for names it keeps task
// IDs below the 255 bytes that a directory's name may have.
func (c *checker) jobID(id string) {
	switch {
	case id == "":
		c.refuse("id", "is required: a path such as /payments/api")
		return
	case len(id) > 128:
		c.refuse("id", "has %d characters; at most 128 are allowed", len(id))
		return
	case id[0] != '/':
		fixed := strings.ReplaceAll(strings.ToLower(id), "_", "-")
		if segment.MatchString(strings.ReplaceAll(fixed, "/", "")) {
			c.suggest("id", "/"+fixed, "must start with a slash")
		} else {
			c.refuse("id", "must start with a slash")
		}
		return
	}
	for _, s := range strings.Split(id[1:], "/") {
		if segment.MatchString(s) {
			continue
		}
		fixed := strings.ReplaceAll(strings.ToLower(s), "_", "-")
		switch {
		case s == "":
			c.refuse("id", "has an empty segment; a path such as /payments/api is asked for")
		case segment.MatchString(fixed):
			c.suggest("id", strings.Replace(id, s, fixed, 1), "%s has other characters than lower-case letters, digits and hyphens", quoted(s))
		default:
			c.refuse("id", "%s has other characters than lower-case letters, digits and hyphens", quoted(s))
		}
		return
	}
}

func (c *checker) user(field, user string) {
	if user != "" && !userName.MatchString(user) {
		c.refuse(field, "%s is no user's name", quoted(user))
	}
}

// text refuses what cannot be passed to a program.
func (c *checker) text(field, value string) {
	if strings.ContainsRune(value, 0) {
		c.refuse(field, "holds a zero byte, which no program can be given")
	}
}

func (c *checker) constraint(field, attr string, op tandemv1.ConstraintOperator, value string) {
	c.attribute(join(field, "attribute"), attr)
	at := join(field, "value")
	word := operatorWord(op)
	switch op {
	case tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_UNSPECIFIED:
		c.refuse(join(field, "operator"), "is required: one of %s", strings.Join(wordsOf(op.Descriptor()), ", "))
	case tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_UNIQUE:
		if value != "" {
			c.refuse(at, "UNIQUE takes no value")
		}
	case tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_LIKE, tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_UNLIKE:
		c.pattern(at, word, value)
	case tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_IS:
		if value == "" {
			c.refuse(at, "IS needs a value")
		}
	case tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_MAX_PER:
		c.count(at, word, value)
	case tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_GROUP_BY:
		if value != "" {
			c.count(at, word, value)
		}
	}
}

func (c *checker) preference(field string, p *tandemv1.Preference) {
	c.attribute(join(field, "attribute"), p.GetAttribute())
	at := join(field, "value")
	switch op := p.GetOperator(); op {
	case tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_IS:
		if p.GetValue() == "" {
			c.refuse(at, "IS needs a value")
		}
	case tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_LIKE, tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_UNLIKE:
		c.pattern(at, operatorWord(op), p.GetValue())
	default:
		c.refuse(join(field, "operator"), "a preference takes IS, LIKE or UNLIKE")
	}
	if w := p.GetWeight(); w == 0 || w < -100 || w > 100 {
		c.refuse(join(field, "weight"), "must be from -100 to 100, and not 0")
	}
}

func operatorWord(op tandemv1.ConstraintOperator) string {
	return strings.TrimPrefix(op.String(), "CONSTRAINT_OPERATOR_")
}

func (c *checker) attribute(field, attr string) {
	known := []string{"@hostname", "@region", "@zone"}
	switch {
	case attr == "":
		c.refuse(field, "is required: the name of an attribute, or one of %s", strings.Join(known, ", "))
	case attr[0] == '@' && !slices.Contains(known, attr):
		c.suggest(field, nearest(attr, known), "%s is not one of %s", quoted(attr), strings.Join(known, ", "))
	case attr == "hostname":
		c.suggest(field, "@hostname", "an agent's host name is no attribute")
	case attr[0] != '@' && !attribute.MatchString(attr):
		c.refuse(field, "%s is no attribute's name", quoted(attr))
	}
}

func (c *checker) pattern(field, word, value string) {
	if value == "" {
		c.refuse(field, "%s needs a regular expression", word)
		return
	}
	if _, err := regexp.Compile(value); err != nil {
		c.refuse(field, "%s is no regular expression: %s", quoted(value), strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
}

func (c *checker) count(field, word, value string) {
	if n, err := strconv.ParseInt(value, 10, 32); err != nil || n < 1 {
		c.refuse(field, "%s needs a whole number of at least 1", word)
	}
}

func (c *checker) update(job *tandemv1.Job) {
	u := job.GetUpdate()
	if u == nil {
		return
	}
	if !endless(job.Type) {
		c.refuse("update", "is for services and daemons only")
		return
	}
	if u.GetMaxParallel() < 1 {
		c.refuse("update.maxParallel", "must be at least 1")
	}
	if u.GetCanary() < 0 {
		c.refuse("update.canary", "must not be negative")
	}
	if u.GetMaxFailures() < 0 {
		c.refuse("update.maxFailures", "must not be negative")
	}
	c.atLeast("update.minHealthyTime", u.GetMinHealthyTime(), 0)
	if u.GetProgressDeadline() != nil && u.GetProgressDeadline().AsDuration() <= u.GetMinHealthyTime().AsDuration() {
		c.refuse("update.progressDeadline", "must be longer than minHealthyTime, %s", u.GetMinHealthyTime().AsDuration())
	}
}

func (c *checker) rebalance(job *tandemv1.Job) {
	groups := func(r *tandemv1.Constraint) bool {
		return r.GetOperator() == tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_GROUP_BY
	}
	switch {
	case job.GetRebalance() == nil:
	case job.Type != tandemv1.JobType_JOB_TYPE_SERVICE:
		c.refuse("rebalance", "is for services only")
	case len(job.GetVolumes()) > 0:
		c.refuse("rebalance", "instances with volumes stay where these are")
	case !slices.ContainsFunc(job.GetConstraints(), groups):
		c.refuse("rebalance", `needs a GROUP_BY constraint, such as ["rack", "GROUP_BY"]: that says what is to be even`)
	default:
		c.atLeast("rebalance.interval", job.GetRebalance().GetInterval(), time.Minute)
	}
}

func (c *checker) restart(r *tandemv1.RestartPolicy) {
	if r.GetAttempts() < 0 {
		c.refuse("restart.attempts", "must not be negative")
	}
	c.delays("restart", r)
}

// delays are what all policies of restarts have.
func (c *checker) delays(field string, r interface {
	GetInterval() *durationpb.Duration
	GetDelay() *durationpb.Duration
	GetFactor() float64
	GetMaxDelay() *durationpb.Duration
}) {
	c.moreThan(join(field, "interval"), r.GetInterval())
	c.atLeast(join(field, "delay"), r.GetDelay(), 0)
	if f := r.GetFactor(); !(f >= 1) || math.IsInf(f, 0) {
		c.refuse(join(field, "factor"), "must be at least 1")
	}
	if r.GetMaxDelay().AsDuration() < r.GetDelay().AsDuration() {
		c.refuse(join(field, "maxDelay"), "must be at least delay, %s", r.GetDelay().AsDuration())
	}
}

func (c *checker) schedule(job *tandemv1.Job) {
	s := job.GetSchedule()
	if job.Type != tandemv1.JobType_JOB_TYPE_CRON {
		if s != nil {
			c.refuse("schedule", "is for jobs of type cron only")
		}
		return
	}
	switch fields := strings.Fields(s.GetCron()); {
	case len(fields) == 0:
		c.refuse("schedule.cron", `is required for a job of type cron, such as "*/5 * * * *"`)
	case len(fields) != 5:
		c.refuse("schedule.cron", "has %d fields; five are asked for: minute, hour, day of month, month, day of week", len(fields))
	case strings.Contains(s.GetCron(), "TZ="):
		c.refuse("schedule.cron", "the time zone belongs in schedule.timeZone")
	default:
		if _, err := schedule.Parse(s.GetCron(), ""); err != nil {
			c.refuse("schedule.cron", "%s is no schedule: %s", quoted(s.GetCron()), err)
		}
	}
	if _, err := time.LoadLocation(s.GetTimeZone()); err != nil || s.GetTimeZone() == "Local" {
		c.refuse("schedule.timeZone", "%s is no time zone; one such as Europe/Berlin is asked for", quoted(s.GetTimeZone()))
	}
	c.atLeast("schedule.catchUp", s.GetCatchUp(), 0)
}

// executor checks what Mesos itself asks of an executor
// (src/master/validation.cpp: MIN_CPUS, MIN_MEM), and what a master does not
// say: an executor without disk cannot be fetched on an agent that enforces it.
func (c *checker) executor(e *tandemv1.ExecutorSettings) {
	r := e.GetResources()
	c.resources("executor.resources", r)
	if r.GetCpus() < 0.01 {
		c.refuse("executor.resources.cpus", "must be at least 0.01")
	}
	if r.GetMem() < 32 {
		c.refuse("executor.resources.mem", "must be at least 32 MiB")
	}
	if r.GetDisk() <= 0 {
		c.refuse("executor.resources.disk", "must be more than 0")
	}
	if r.GetGpus() != 0 {
		c.refuse("executor.resources.gpus", "are for workloads, not for the executor")
	}
}

// resources checks amounts that Mesos counts.
func (c *checker) resources(field string, r *tandemv1.Resources) {
	c.thousandths(join(field, "cpus"), r.GetCpus())
	c.thousandths(join(field, "mem"), r.GetMem())
	c.thousandths(join(field, "disk"), r.GetDisk())
	if g := r.GetGpus(); g < 0 || g != math.Trunc(g) || g > 1024 {
		c.refuse(join(field, "gpus"), "must be a whole number from 0 to 1024")
	}
}

// maxAmount keeps sums of many amounts, in thousandths, within exact integers.
const maxAmount = 1e9

func (c *checker) thousandths(field string, v float64) {
	switch {
	case v < 0:
		c.refuse(field, "must not be negative")
	case !(v <= maxAmount):
		c.refuse(field, "must be at most %.0f", maxAmount)
	case math.Abs(math.Round(v*1000)-v*1000) > 1e-6*max(1, v):
		c.suggest(field, strconv.FormatFloat(max(1, math.Round(v*1000))/1000, 'f', -1, 64), "Mesos counts in thousandths, and %s is finer", strconv.FormatFloat(v, 'f', -1, 64))
	}
}

func (c *checker) atLeast(field string, d *durationpb.Duration, least time.Duration) {
	switch {
	case d != nil && d.CheckValid() != nil:
		c.refuse(field, "is no valid duration")
	case d.AsDuration() < least && least == 0:
		c.refuse(field, "must not be negative")
	case d.AsDuration() < least:
		c.refuse(field, "must be at least %s", least)
	}
}

func (c *checker) moreThan(field string, d *durationpb.Duration) {
	switch {
	case d != nil && d.CheckValid() != nil:
		c.refuse(field, "is no valid duration")
	case d.AsDuration() <= 0:
		c.refuse(field, "must be more than 0")
	}
}
