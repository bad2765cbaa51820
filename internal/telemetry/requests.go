package telemetry

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// MaxSeries bounds the pairs of operation and status code that are counted apart; a bug that
// makes up operation names then costs a wrong label and not the machine's memory.
const MaxSeries = 1024

// latencyBuckets (seconds) run from an in-memory answer to the largest upload; each is about
// 2.5 times the one before.
var latencyBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// series names what one set of counters counts.
type series struct {
	op   string
	code int
}

// children are the counters of one series, resolved once: looking labels up costs more than
// all the rest of an observation.
type children struct {
	count    prometheus.Counter
	latency  prometheus.Observer
	received prometheus.Counter
	sent     prometheus.Counter
}

// requests counts S3 requests. Readers take no lock: the map is replaced, never changed.
type requests struct {
	known atomic.Pointer[map[series]*children]
	grow  sync.Mutex // held by whoever replaces known

	count    *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	received *prometheus.CounterVec
	sent     *prometheus.CounterVec
}

func newRequests() *requests {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "s3", Name: name, Help: help}, labels)
	}
	r := &requests{
		count:    counter("requests_total", "S3 requests by operation and HTTP status.", "operation", "code"),
		received: counter("received_bytes_total", "Bytes of request bodies.", "operation"),
		sent:     counter("sent_bytes_total", "Bytes of response bodies.", "operation"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "holdfast", Subsystem: "s3", Name: "request_seconds",
			Help:    "Seconds from the first byte of a request to the last of its answer.",
			Buckets: latencyBuckets,
		}, []string{"operation"}),
	}
	r.known.Store(&map[series]*children{})
	return r
}

func (r *requests) observe(op string, code int, seconds float64, in, out int64) {
	c := (*r.known.Load())[series{op, code}]
	if c == nil {
		c = r.add(series{op, code})
	}
	c.count.Inc()
	c.latency.Observe(seconds)
	if in > 0 {
		c.received.Add(float64(in))
	}
	if out > 0 {
		c.sent.Add(float64(out))
	}
}

// add resolves the counters of a series that was not seen before.
func (r *requests) add(s series) *children {
	r.grow.Lock()
	defer r.grow.Unlock()
	old := *r.known.Load()
	if c := old[s]; c != nil {
		return c
	}
	if len(old) >= MaxSeries {
		s = series{op: "other"}
		if c := old[s]; c != nil {
			return c
		}
	}
	code := "other"
	if s.code != 0 {
		code = strconv.Itoa(s.code)
	}
	c := &children{
		count:    r.count.WithLabelValues(s.op, code),
		latency:  r.latency.WithLabelValues(s.op),
		received: r.received.WithLabelValues(s.op),
		sent:     r.sent.WithLabelValues(s.op),
	}
	next := make(map[series]*children, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	next[s] = c
	r.known.Store(&next)
	return c
}

// Describe implements prometheus.Collector.
func (r *requests) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range r.vectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (r *requests) Collect(ch chan<- prometheus.Metric) {
	for _, c := range r.vectors() {
		c.Collect(ch)
	}
}

func (r *requests) vectors() []prometheus.Collector {
	return []prometheus.Collector{r.count, r.latency, r.received, r.sent}
}
