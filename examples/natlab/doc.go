// Package natlab is a laboratory for networks; it contains only tests.
// They run the real programs in network namespaces of their own, which have no
// connection to the machine's network:
//
//	 agent ────── NAT A ───────┐                ┌─────── NAT B ────── client
//	10.1.0.2   198.51.100.2    │     public     │    198.51.100.6   10.2.0.2
//	                           └── 203.0.113.1 ─┘
//	                         broker, relay, router
//
// A table in the test states the expected result of each pair of networks, from a
// direct path through plain NATs to a relay on TCP port 443 where every other port
// is blocked. One row has a bad line: delay, loss and reordering on a TUN pair,
// because not every kernel has netem.
//
// The tests need root, or a kernel that permits user namespaces, and the programs
// ip and nft. Without them they are skipped and state the reason.
package natlab
