// Package match decides which waiting group goes to which agent. It is pure:
// offers and waiting groups in, placements out.
//
// A whole group goes to one agent or nowhere. An agent is eligible when its
// free resources and ports suffice and every constraint holds. Among eligible
// agents the order is:
//
//  1. the greatest sum of the weights of the job's preferences that the agent
//     satisfies;
//  2. the best fit: the least that is left free, where what is left is the sum
//     over cpus, mem, disk and gpus of the agent's free amount divided by the
//     largest free amount that any agent offers in this round. Agents with
//     graphics processors are so the last choice of groups without;
//  3. the order of the offers.
//
// Constraints have Marathon's meaning, with one difference: GROUP_BY counts the
// values of every agent that was seen, not only of those already used, so that
// instances are spread evenly from the first one on. An agent without the
// attribute satisfies UNLIKE only.
//
// The package must never keep anything between calls, and never take a group
// apart.
package match
