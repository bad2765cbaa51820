package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// sample is one measurement.
type sample struct {
	Operations   int64   `json:"operations"`
	Bytes        int64   `json:"bytes"`
	Entries      int64   `json:"entries"` // objects, or keys that were listed
	Seconds      float64 `json:"seconds"`
	ServerCPU    float64 `json:"server_cpu_seconds"`
	ClientCPU    float64 `json:"client_cpu_seconds"`
	OtherCPU     float64 `json:"other_cpu_seconds"` // of all else on the machine
	P50ms        float64 `json:"p50_ms"`
	P99ms        float64 `json:"p99_ms"`
	ResidentMiB  float64 `json:"peak_resident_mib"`
	AnonymousMiB float64 `json:"peak_anonymous_mib"`
}

// figures are what is compared.
type figures struct {
	Rate         float64 `json:"rate"`       // in the case's unit
	ServerCPU    float64 `json:"server_cpu"` // in the case's CPU unit
	ClientCPU    float64 `json:"client_cpu"`
	P50ms        float64 `json:"p50_ms"`
	P99ms        float64 `json:"p99_ms"`
	ResidentMiB  float64 `json:"peak_resident_mib"`
	AnonymousMiB float64 `json:"peak_anonymous_mib"`
}

// row is one case.
type row struct {
	Case    string      `json:"case"`
	Unit    string      `json:"unit"`
	CPUUnit string      `json:"cpu_unit"`
	Rounds  [][]*sample `json:"rounds"`  // by target, by round
	Medians []figures   `json:"medians"` // by target
	// Ratios are those of the medians, the first target's against the second's.
	RateRatio float64 `json:"rate_ratio,omitempty"`
	CPURatio  float64 `json:"cpu_ratio,omitempty"`

	k kase
}

type idle struct {
	CPUPercent      float64   `json:"cpu_percent"`       // of one core
	CPUPercentNodes []float64 `json:"cpu_percent_nodes"` // the same of each process that was started or given
	ResidentMiB     float64   `json:"resident_mib"`
	AnonymousMiB    float64   `json:"anonymous_mib"`
}

type result struct {
	Date    string   `json:"date"`
	Machine string   `json:"machine"`
	Command []string `json:"command"`
	Cluster string   `json:"cluster,omitempty"`
	Targets []string `json:"targets"`
	Rows    []*row   `json:"cases"`
	Idle    []*idle  `json:"idle"`
}

func newResult(b *bench) *result {
	r := &result{Date: time.Now().UTC().Format(time.RFC3339), Machine: machine(), Command: redact(os.Args), Cluster: b.shape(), Idle: make([]*idle, len(b.targets))}
	for _, t := range b.targets {
		r.Targets = append(r.Targets, t.name)
	}
	return r
}

// redact takes the values of secret keys out of a command line.
func redact(args []string) []string {
	var out []string
	for i, a := range args {
		if name, _, ok := strings.Cut(a, "="); ok && strings.HasSuffix(name, "secret-key") {
			a = name + "=…"
		} else if i > 0 && strings.HasSuffix(args[i-1], "secret-key") {
			a = "…"
		}
		out = append(out, a)
	}
	return out
}

func machine() string {
	model := "unknown CPU"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%s, %d cores, %s/%s, %s", model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// add takes a measurement and keeps the medians.
func (r *result) add(k kase, target int, s *sample) {
	if n := len(r.Rows); n == 0 || r.Rows[n-1].Case != k.name {
		unit, cpu := k.units()
		r.Rows = append(r.Rows, &row{Case: k.name, Unit: unit, CPUUnit: cpu, k: k,
			Rounds: make([][]*sample, len(r.Targets)), Medians: make([]figures, len(r.Targets))})
	}
	w := r.Rows[len(r.Rows)-1]
	w.Rounds[target] = append(w.Rounds[target], s)
	of := func(f func(figures) float64) float64 {
		var all []float64
		for _, s := range w.Rounds[target] {
			all = append(all, f(s.figures(k)))
		}
		return median(all)
	}
	w.Medians[target] = figures{
		Rate:         of(func(f figures) float64 { return f.Rate }),
		ServerCPU:    of(func(f figures) float64 { return f.ServerCPU }),
		ClientCPU:    of(func(f figures) float64 { return f.ClientCPU }),
		P50ms:        of(func(f figures) float64 { return f.P50ms }),
		P99ms:        of(func(f figures) float64 { return f.P99ms }),
		ResidentMiB:  of(func(f figures) float64 { return f.ResidentMiB }),
		AnonymousMiB: of(func(f figures) float64 { return f.AnonymousMiB }),
	}
	if m := w.Medians; len(m) > 1 && m[1].Rate > 0 {
		w.RateRatio = m[0].Rate / m[1].Rate
		if m[1].ServerCPU > 0 {
			w.CPURatio = m[0].ServerCPU / m[1].ServerCPU
		}
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	n := len(all)
	if n%2 == 1 {
		return all[n/2]
	}
	return (all[n/2-1] + all[n/2]) / 2
}

// units of a case: large objects count in bytes, listings in keys, the rest in operations.
func (k kase) units() (rate, cpu string) {
	switch {
	case k.op == opList:
		return "keys/s", "us/key"
	case k.moves():
		return "MiB/s", "s/GB"
	}
	return "op/s", "us/op"
}

// moves reports whether the bytes are what a case is about.
func (k kase) moves() bool { return k.size >= 1<<20 && (k.op == opPut || k.op == opGet) }

func (s *sample) figures(k kase) figures {
	work, cpuWork := float64(s.Operations), float64(s.Operations)/1e6
	switch {
	case k.op == opList:
		work, cpuWork = float64(s.Entries), float64(s.Entries)/1e6
	case k.moves():
		work, cpuWork = float64(s.Bytes)/(1<<20), float64(s.Bytes)/1e9
	}
	return figures{Rate: work / s.Seconds, ServerCPU: s.ServerCPU / cpuWork, ClientCPU: s.ClientCPU / cpuWork,
		P50ms: s.P50ms, P99ms: s.P99ms, ResidentMiB: s.ResidentMiB, AnonymousMiB: s.AnonymousMiB}
}

// text is a measurement in a line of progress.
func (s *sample) text(k kase) string {
	rate, cpu := k.units()
	f := s.figures(k)
	return fmt.Sprintf("%s %s  server %s %s  p50 %.2f ms  p99 %.2f ms  RSS %.0f MiB", number(f.Rate), rate, number(f.ServerCPU), cpu, f.P50ms, f.P99ms, f.ResidentMiB)
}

// maxOtherCores is how busy the machine may be with other work, in cores; interrupts and
// the kernel's own threads count to it.
const maxOtherCores = 0.25

// otherCores is the median share of the machine that neither client nor server had.
func (r *result) otherCores() float64 {
	var all []float64
	for _, row := range r.Rows {
		for _, samples := range row.Rounds {
			for _, s := range samples {
				all = append(all, s.OtherCPU/s.Seconds)
			}
		}
	}
	return median(all)
}

// number prints three digits or more.
func number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// table prints the medians. With two targets, each column has both, and the ratio.
func (r *result) table(out io.Writer) {
	fmt.Fprintf(out, "%s; %s\n", r.Machine, r.Date)
	if r.Cluster != "" {
		fmt.Fprintf(out, "%s; server CPU and memory are sums of all nodes\n", r.Cluster)
	}
	fmt.Fprintf(out, "medians of the rounds, in turns")
	if len(r.Targets) > 1 {
		fmt.Fprintf(out, "; %s | %s, ratio of the first to the second", r.Targets[0], r.Targets[1])
	}
	fmt.Fprint(out, "\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "case\trate\t\tserver CPU\t\tclient CPU\tp50 ms\tp99 ms\tRSS MiB\tanon MiB\t")
	for _, row := range r.Rows {
		pair := func(f func(figures) float64) string {
			var all []string
			for _, m := range row.Medians {
				all = append(all, number(f(m)))
			}
			return strings.Join(all, " | ")
		}
		ratio := func(x float64) string {
			if x == 0 {
				return ""
			}
			return "x" + fmt.Sprintf("%.2f", x)
		}
		fmt.Fprintf(w, "%s\t%s %s\t%s\t%s %s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", row.Case,
			pair(func(f figures) float64 { return f.Rate }), row.Unit, ratio(row.RateRatio),
			pair(func(f figures) float64 { return f.ServerCPU }), row.CPUUnit, ratio(row.CPURatio),
			pair(func(f figures) float64 { return f.ClientCPU }),
			pair(func(f figures) float64 { return f.P50ms }), pair(func(f figures) float64 { return f.P99ms }),
			pair(func(f figures) float64 { return f.ResidentMiB }), pair(func(f figures) float64 { return f.AnonymousMiB }))
	}
	w.Flush()
	if busy := r.otherCores(); busy > maxOtherCores {
		fmt.Fprintf(out, "\nWARNING: other processes used %.1f cores during the median measurement: do not quote these figures.\n", busy)
	}
	for i, idle := range r.Idle {
		if idle != nil {
			fmt.Fprintf(out, "\n%s idle: %.1f %% of a core, RSS %.0f MiB, anonymous %.0f MiB", r.Targets[i], idle.CPUPercent, idle.ResidentMiB, idle.AnonymousMiB)
			if r.Cluster != "" {
				fmt.Fprint(out, "; a node:")
				for _, percent := range idle.CPUPercentNodes {
					fmt.Fprintf(out, " %.1f", percent)
				}
				fmt.Fprint(out, " %")
			}
		}
	}
	fmt.Fprintln(out)
}
