package census

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

// Report is a census.
type Report struct {
	Scheme                    erasure.Scheme
	ActiveNodes, ActiveDrives int
	Groups, Replicas, Factor  int // Factor is how many replicas the largest group has
	LeftReplicas              int // on drives that are not members any more
	Records                   int // data IDs
	Shards                    int // found and verified
	Bytes                     int64
	Short                     int // records with fewer than k+m whole shards
	Uneven                    int // records with more shards on one node than an even spread needs
	Unsafe                    int // records that would not survive the loss of one node
	Strays                    int // shards that no record names
	Garbage, Queued           int
	Took                      time.Duration

	perNode int
	nodeOf  map[id.Drive]string
	states  map[id.Drive]metapb.Drive_State

	mu       sync.Mutex
	findings map[string][]string
}

// maxFindings of a kind are kept.
const maxFindings = 10

func (r *Report) find(what, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.findings == nil {
		r.findings = map[string][]string{}
	}
	if len(r.findings[what]) < maxFindings {
		r.findings[what] = append(r.findings[what], fmt.Sprintf(format, args...))
	}
}

func (r *Report) add(shards int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Shards, r.Bytes = r.Shards+shards, r.Bytes+bytes
}

// record counts a data ID with so many shards missing, and so many on each node.
func (r *Report) record(missing int, nodes map[string]int, m int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Records++
	if missing > 0 {
		r.Short++
	}
	most := 0
	for _, n := range nodes {
		most = max(most, n)
	}
	if most > r.perNode {
		r.Uneven++
	}
	if most > m {
		r.Unsafe++
	}
}

// Whole is nil if redundancy is full: every shard of every record is there and right, and every group has
// all its replicas, with the same content.
func (r *Report) Whole() error {
	var all []string
	for what, found := range r.findings {
		for _, f := range found {
			all = append(all, what+": "+f)
		}
	}
	if r.Queued > 0 {
		all = append(all, fmt.Sprintf("repair: %d records wait for it", r.Queued))
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return errors.New(strings.Join(all, "\n"))
}

func (r *Report) String() string {
	return fmt.Sprintf("census: %d shards (%.1f MB) of %d records in %s on %d drives of %d nodes read and verified, %d records short, %d unsafe, %d uneven; "+
		"%d replicas of %d groups compared by hash, %d of each; %d strays, %d left replicas, %d garbage, %d to repair; %s",
		r.Shards, float64(r.Bytes)/1e6, r.Records, r.Scheme, r.ActiveDrives, r.ActiveNodes, r.Short, r.Unsafe, r.Uneven,
		r.Replicas, r.Groups, r.Factor, r.Strays, r.LeftReplicas, r.Garbage, r.Queued, r.Took.Round(100*time.Millisecond))
}
