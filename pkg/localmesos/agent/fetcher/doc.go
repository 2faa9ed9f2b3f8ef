// Package fetcher brings the URIs of a command into a sandbox as a real agent's
// fetcher does (src/slave/containerizer/fetcher.cpp), with the program that the
// agent runs for it (src/launcher/fetcher.cpp): by http and https, or copied from
// the machine; unpacked, made executable, or under another name; directly or
// through a cache of bounded size, which is kept apart for each user and gives up
// first what was not used for longest.
//
// What it does and why it fails it tells in the sandbox's stderr, line by line as
// the program does, because that is where people and tests look. The copies are
// made by cp and single files unpacked by gunzip, as there.
//
// It differs where a file would leave the sandbox, which it refuses; it unpacks
// .tar.zst; and there is neither hdfs nor ftp. It must never know of tasks and
// executors.
package fetcher
