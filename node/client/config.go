package client

import (
	"errors"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/rpc"
)

// Config says which drive a Remote is, and how long its calls may take.
type Config struct {
	// Pool has the connections, Address is where the drive's node listens (host:port).
	Pool    *rpc.Pool
	Address string
	Drive   id.Drive

	// BlockTimeout is for one block, written or read. Default 5 s.
	BlockTimeout time.Duration
	// CallTimeout is for Commit, Stat, and a page of Delete and List. Default 6 s, in which a disk
	// that is alive syncs; a request should not hang for ten.
	CallTimeout time.Duration
	// VerifyTimeout is for reading a whole shard there. Default 10 min.
	VerifyTimeout time.Duration
	// MaxReads and MaxWrites are how many blocks may be on their way from and to the drive; further
	// calls wait. They bound memory on both sides when the drive or its node is slow. Defaults 64
	// and 32.
	MaxReads, MaxWrites int
}

func (c *Config) validate() error {
	if c.Pool == nil || c.Address == "" || c.Drive.IsZero() {
		return errors.New("client: Config needs Pool, Address and Drive")
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.BlockTimeout, 5 * time.Second}, {&c.CallTimeout, 6 * time.Second}, {&c.VerifyTimeout, 10 * time.Minute}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.MaxReads == 0 {
		c.MaxReads = 64
	}
	if c.MaxWrites == 0 {
		c.MaxWrites = 32
	}
	if c.BlockTimeout < 0 || c.CallTimeout < 0 || c.VerifyTimeout < 0 || c.MaxReads < 1 || c.MaxWrites < 1 {
		return errors.New("client: Config has a bound below its least")
	}
	return nil
}
