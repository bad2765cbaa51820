package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ticks is USER_HZ: the unit of /proc/PID/stat on every Linux that Go runs on.
const ticks = 100

const sampleEvery = 100 * time.Millisecond

// family are the processes of a target and their descendants, as of now.
func family(pids []int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if f := statFields(path); len(f) > 1 {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			parent, _ := strconv.Atoi(f[1])
			children[parent] = append(children[parent], pid)
		}
	}
	all := append([]int{}, pids...)
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// statFields are the fields of a stat file from the third (the state) on; the second, the name in
// parentheses, may hold anything.
func statFields(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// cpuSeconds is the user and system time of the processes so far.
func cpuSeconds(pids []int) float64 {
	sum := 0.0
	for _, pid := range pids {
		f := statFields("/proc/" + strconv.Itoa(pid) + "/stat")
		if len(f) < 13 {
			continue
		}
		user, _ := strconv.ParseFloat(f[11], 64)
		system, _ := strconv.ParseFloat(f[12], 64)
		sum += (user + system) / ticks
	}
	return sum
}

// nodesCPU is the same of each process that was given, with its descendants.
func (t *target) nodesCPU() []float64 {
	var all []float64
	for _, pid := range t.pids {
		all = append(all, cpuSeconds(family([]int{pid})))
	}
	return all
}

// machineCPU is the time that all cores together were busy so far.
func machineCPU() float64 {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	sum := 0.0
	for i, text := range strings.Fields(line) {
		// user nice system idle iowait irq softirq steal; what a hypervisor stole is lost, too
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, _ := strconv.ParseFloat(text, 64)
		sum += n / ticks
	}
	return sum
}

// ownCPU is the same of this process, exactly.
func ownCPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// memory is the resident and the anonymous memory of the processes, in MiB.
func memory(pids []int) (resident, anonymous float64) {
	for _, pid := range pids {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			switch name {
			case "VmRSS":
				resident += kib / 1024
			case "RssAnon":
				anonymous += kib / 1024
			}
		}
	}
	return resident, anonymous
}

// peak watches the memory of processes until it is stopped.
type peak struct {
	resident, anonymous float64
	quit                chan struct{}
	wait                sync.WaitGroup
}

func watch(pids []int) *peak {
	p := &peak{quit: make(chan struct{})}
	p.wait.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			r, a := memory(pids)
			p.resident, p.anonymous = max(p.resident, r), max(p.anonymous, a)
			select {
			case <-p.quit:
				return
			case <-tick.C:
			}
		}
	})
	return p
}

func (p *peak) stop() (resident, anonymous float64) {
	close(p.quit)
	p.wait.Wait()
	return p.resident, p.anonymous
}
