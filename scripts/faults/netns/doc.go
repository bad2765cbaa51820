// Package netns builds a small network of hosts on one Linux machine: a bridge, and a namespace
// with an address for each host, between any two of which packets can be dropped in one direction
// or in both.
//
// All of it lives in network, mount and process namespaces of its own (see Enter), that have no
// names outside: the machine's network, its files under /run and other runs do not see it. The
// kernel takes everything away, processes included, when the process that entered ends, however it
// ends. It needs root, or a kernel that gives namespaces to users; ip (iproute2) and iptables.
package netns
