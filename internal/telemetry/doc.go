// Package telemetry is what an operator sees of a running process: structured logs and
// Prometheus metrics.
//
// Two rules hold everywhere. A client's encryption key, a root password or the cluster secret
// reaches neither a log line nor a label. And the set of label values is bounded: operations
// come from the router's table, never from a request, and beyond [MaxSeries] pairs of operation
// and code the rest is counted as "other".
//
// It knows none of the packages that it reports on: each of them is read through a function
// given to [New], at the moment of a scrape, so that nothing is paid between scrapes.
package telemetry
