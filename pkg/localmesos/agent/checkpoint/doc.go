// Package checkpoint is what an agent keeps on its disk for its next process, in
// the layout of a real agent, which could read it (src/slave/paths.cpp,
// src/slave/state.cpp):
//
//	<work dir>/meta/
//	  boot_id                      of the machine's last start
//	  resources/resources_and_operations.state   ResourceState: what is reserved or
//	                               a volume, and the operations not acknowledged
//	  resources/resources.info     the same resources in the older form, Resource by Resource
//	  standalone/<container>/launch.call   Call.LaunchContainer of the operator API
//	  standalone/<container>/forked.pid    its process ID
//	  slaves/latest                a link to the directory of the agent's ID
//	  slaves/<agent>/
//	    slave.info                 SlaveInfo
//	    drain.config               DrainConfig, while the agent drains
//	    frameworks/<framework>/
//	      framework.info           FrameworkInfo
//	      framework.pid            @0.0.0.0:0, for frameworks that use HTTP
//	      executors/<executor>/
//	        executor.info          ExecutorInfo
//	        executor_generated_for_command_task   1 for a command executor, else 0
//	        runs/latest            a link to the newest run
//	        runs/<container>/
//	          pids/forked.pid      the executor's process ID
//	          http.marker          empty: the executor has subscribed, by HTTP
//	          executor.sentinel    empty: nothing more is to be done
//	          tasks/<task>/
//	            task.info          Task
//	            task.updates       StatusUpdateRecord, one after the other
//
// What is standalone a real agent keeps elsewhere and in another way.
//
// A message is its length in four bytes, the least significant first, and then
// its encoding in protobuf. A file with one message, or a text, is written beside
// its place and renamed; updates are appended. As by a real agent nothing is
// synced: all of it is for processes that die, and after the end of a machine no
// process is looked for. Resources are written in the form that they had before
// reservations could be refined, where they have one.
//
// An agent that is torn out of a write leaves a directory without its file, or
// half a record at the end of the updates. Both count as not written. What else
// cannot be read ends a strict recovery, and is passed over by another.
package checkpoint
