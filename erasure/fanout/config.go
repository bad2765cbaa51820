package fanout

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// Drives finds the drive behind an ID; false means that no way leads to it now.
type Drives interface {
	Drive(id.Drive) (node.Drive, bool)
}

// Config is what a Fanout is made of.
type Config struct {
	Drives Drives
	// MaxPutBytes and MaxGetBytes bound the block buffers of all writes and of all reads: how many
	// requests can be under way. Default 512 MiB each, some 340 writes of 4+2. They are two because
	// a copy holds some of one while it waits for the other.
	MaxPutBytes, MaxGetBytes int64
	// AheadBytes is the use of either up to which a request may have more than one stripe in flight.
	// Default 96 stripes of 4+2: more brought no speed with 64 clients.
	AheadBytes int64
	// StallAfter is how long a reader may take for a stripe before its read gives up its memory for
	// others and goes on in small pieces. Default 1 s.
	StallAfter time.Duration
	// StripesInFlight of one write: while one is written the next is read. Default 2.
	StripesInFlight int
	// Grace is how long a write waits for slow drives once enough shards are durable; GraceShare
	// is added to it, as a share of the time that the write has taken. Defaults 500 ms and 0.5.
	Grace      time.Duration
	GraceShare float64
	// MaxStuck is how many abandoned writes one drive may still hold before it is passed over:
	// each keeps a block buffer. Default 4.
	MaxStuck int
	// HedgeMin and HedgeMax bound the delay after which a spare shard is read; HedgeFirst is the
	// delay while nothing is known of the drives. Defaults 5 ms (on a machine whose cores are busy, a
	// quick disk often takes 2 ms, and every stripe that is decoded for it makes that worse), 1 s, 50 ms.
	HedgeMin, HedgeMax, HedgeFirst time.Duration
	// Near says that a drive is on this machine: its shards cost no network. nil: all are.
	Near func(id.Drive) bool
	// OnDamage is told of each shard that a drive holds damaged, or should hold and does not: once
	// a request, on several goroutines, and after the request when a slow drive says so late. It
	// must not block. May be nil.
	OnDamage func(node.Shard, id.Drive, error)
	Logger   *slog.Logger
}

const (
	defaultMaxBytes   = 512 << 20
	defaultAheadBytes = 96 * 6 * 65 * node.BlockAlign // 96 stripes of six blocks of 65 pages
)

func (c *Config) validate() error {
	if c.Drives == nil {
		return fmt.Errorf("fanout: Config needs Drives")
	}
	setDefault(&c.MaxPutBytes, defaultMaxBytes)
	setDefault(&c.MaxGetBytes, defaultMaxBytes)
	setDefault(&c.AheadBytes, defaultAheadBytes)
	setDefault(&c.StallAfter, time.Second)
	setDefault(&c.StripesInFlight, 2)
	setDefault(&c.Grace, 500*time.Millisecond)
	setDefault(&c.GraceShare, 0.5)
	setDefault(&c.MaxStuck, 4)
	setDefault(&c.HedgeMin, 5*time.Millisecond)
	setDefault(&c.HedgeMax, time.Second)
	setDefault(&c.HedgeFirst, 50*time.Millisecond)
	if c.OnDamage == nil {
		c.OnDamage = func(node.Shard, id.Drive, error) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxPutBytes < 0 || c.MaxGetBytes < 0 || c.StripesInFlight < 0 || c.Grace < 0 || c.HedgeMin > c.HedgeMax {
		return fmt.Errorf("fanout: Config has a negative or inverted bound")
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Fanout writes and reads erasure-coded data on many drives. Safe for concurrent use.
type Fanout struct {
	cfg    Config
	codecs erasure.Codecs
	blocks blockPool
	shells sync.Pool // *stripe without buffers
	puts   *budget
	gets   *budget
	// stalled counts what readers hold that have stalled; each has one block.
	stalled *budget
	health  health
	stats   counters
	// background are goroutines that outlive their request because a drive holds them.
	background sync.WaitGroup
}

// New makes a Fanout.
func New(cfg Config) (*Fanout, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	f := &Fanout{cfg: cfg, puts: newBudget(cfg.MaxPutBytes, cfg.AheadBytes), gets: newBudget(cfg.MaxGetBytes, cfg.AheadBytes), stalled: newBudget(0, 0)}
	f.shells.New = func() any { return new(stripe) }
	f.health.first = cfg.HedgeFirst
	return f, nil
}

// Ref says where data is: enough to read it.
type Ref struct {
	Data   id.Data
	Layout erasure.Layout
	Drives []id.Drive // of each shard, in order; zero where a shard was not written
}

// NewRef takes a Ref from the record of a placement.
func NewRef(data id.Data, p *metapb.Placement) (Ref, error) {
	layout, err := erasure.FromProto(p.GetLayout())
	if err != nil {
		return Ref{}, kind.Wrap(kind.Damaged, err, "fanout: the placement of %s", data)
	}
	ref := Ref{Data: data, Layout: layout, Drives: make([]id.Drive, len(p.GetDrives()))}
	for i, b := range p.GetDrives() {
		if len(b) == 0 {
			continue
		}
		if ref.Drives[i], err = id.FromBytes[id.Drive](b); err != nil {
			return Ref{}, kind.Wrap(kind.Damaged, err, "fanout: drive %d of %s", i, data)
		}
	}
	return ref, ref.validate()
}

func (r *Ref) validate() error {
	if err := r.Layout.Validate(); err != nil {
		return kind.Wrap(kind.Damaged, err, "fanout: the placement of %s", r.Data)
	}
	if len(r.Drives) != r.Layout.Shards() {
		return kind.New(kind.Damaged, "fanout: the placement of %s names %d drives for %s", r.Data, len(r.Drives), r.Layout.Scheme)
	}
	return nil
}

// Close waits for what slow drives still hold of ended requests. No call may be under way.
func (f *Fanout) Close() error {
	f.background.Wait()
	return nil
}
