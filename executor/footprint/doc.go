// Package footprint keeps the executor itself small, for what it takes of memory
// its tasks lack: the container has one limit for all. What starts have taken it gives
// back when they are over.
//
// It must never do what takes time while workloads are started, and knows nothing
// of them.
package footprint
