// Package spec says what is wrong with commands, containers and checks, in the
// words that a real master and a real agent have in common (src/common/validation.cpp
// in Mesos's source). The texts reach frameworks and operators, who compare and show
// them, and so they are kept to the letter, capitals and all.
//
// The package must never know who asks, or change what it looks at.
package spec
