// Package footprint keeps the executor itself small, for what it takes of memory
// its tasks lack: the container has one limit for all. While workloads are started
// it lets memory be traded for time, and gives it back when that is over.
//
// It must never do what takes time while workloads are started, and knows nothing
// of them.
package footprint
