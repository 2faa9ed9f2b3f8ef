// Package jobspec reads job files: it turns YAML or JSON into a tandemv1.Job,
// writes every default out, and says all that is wrong with it at once, each
// mistake with its place and, where there is one, the nearest right word.
//
// A job file has the JSON names of the messages in proto/tandem/v1/job.proto as
// its keys. The decoder is driven by those messages, so that a new field needs
// no code here unless it has a short form, a default or a rule of its own.
//
// Reading is in four steps, of which the last two are also for whoever receives
// a Job by another way:
//
//	source -> nodes      syntax, one document, no repeated keys
//	nodes  -> Job        keys and types, short forms (10m, 256Mi, tuples)
//	Default(Job)         every default written out
//	Validate(Job)        ranges, names and whatever binds fields together
//
// The package must never touch a file, the network or a clock: what a job means
// depends on its text only.
package jobspec
