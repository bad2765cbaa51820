package telemetry

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config says where the figures come from. A nil function leaves its metrics out.
type Config struct {
	// Version of the program, a label of holdfast_build_info.
	Version string
	// Drives is asked at each scrape; it must not block on a disk.
	Drives func() []Drive
	// Groups is asked at each scrape for the metadata groups as this process sees them.
	Groups func() []Group
	// Repair is asked at each scrape.
	Repair func() Repair
	// Logger is told of a scrape that failed.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	if c.Logger == nil {
		return errors.New("telemetry: Config.Logger is missing")
	}
	if c.Version == "" {
		c.Version = "unknown"
	}
	return nil
}

// Metrics holds the process's registry and the request counters.
type Metrics struct {
	registry *prometheus.Registry
	logger   *slog.Logger
	requests *requests
}

// New makes the registry with all collectors.
func New(cfg Config) (*Metrics, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	m := &Metrics{registry: prometheus.NewRegistry(), logger: cfg.Logger, requests: newRequests()}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "holdfast_build_info",
		Help:        "1, with the program's version as label.",
		ConstLabels: prometheus.Labels{"version": cfg.Version},
	})
	build.Set(1)
	all := []prometheus.Collector{
		build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests,
	}
	if cfg.Drives != nil {
		all = append(all, driveCollector(cfg.Drives))
	}
	if cfg.Groups != nil {
		all = append(all, groupCollector(cfg.Groups))
	}
	if cfg.Repair != nil {
		all = append(all, repairCollector(cfg.Repair))
	}
	for _, c := range all {
		if err := m.registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Observe counts one finished S3 request: its operation (a name from the router's table), HTTP
// status, duration and the bytes of its bodies. Safe for concurrent use and free of allocation
// once an operation and code have been seen.
func (m *Metrics) Observe(op string, code int, seconds float64, in, out int64) {
	m.requests.observe(op, code, seconds, in, out)
}

// Counter adds a metric that only grows; read is called at each scrape.
func (m *Metrics) Counter(name, help string, read func() float64) error {
	return m.registry.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
}

// Gauge adds a metric that goes up and down; read is called at each scrape.
func (m *Metrics) Gauge(name, help string, read func() float64) error {
	return m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// maxScrapes bounds the scrapes that are answered at once: each gathers everything.
const maxScrapes = 4

// Handler serves the metrics in Prometheus' text format. Who may ask is the caller's matter.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(m.logger.Handler(), slog.LevelError),
		MaxRequestsInFlight: maxScrapes,
	})
}
