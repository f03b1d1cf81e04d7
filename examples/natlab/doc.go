// Package natlab is a laboratory for networks: it has tests and nothing else.
// They run the real programs in network namespaces of their own, in which
// nothing can reach the machine's network, nor be reached from it:
//
//	 agent ────── NAT A ───────┐                ┌─────── NAT B ────── client
//	10.1.0.2   198.51.100.2    │     public     │    198.51.100.6   10.2.0.2
//	                           └── 203.0.113.1 ─┘
//	                         broker, relay, router
//
// What each pair of networks should come to is a table in the test, from a
// direct way through plain NATs to a relay on TCP port 443 where nothing else
// is open. One row has a bad line: delay, loss and reordering on a TUN pair,
// because not every kernel has netem.
//
// It takes root, or a kernel that lets users have namespaces, and the programs
// ip and nft. Where they are missing the tests are skipped and say why.
package natlab
