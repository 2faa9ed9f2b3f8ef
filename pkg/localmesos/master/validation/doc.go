// Package validation says what is wrong with what a framework sends, in the
// words of a real master.
//
// The rules, their order and their texts are those of src/master/validation.cpp
// in Mesos's source; the texts reach frameworks,
// who compare and show them, and so they are kept to the letter, capitals and
// all. What agents say in the same words is in localmesos/spec. Everything here is pure: what a rule has to know of the master's state
// is passed in.
//
// The package must never change what it looks at.
package validation
