package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// reign is a line of a node's log that says that a drive leads a group.
type reign struct {
	Message string `json:"msg"`
	Group   uint32 `json:"group"`
	Term    uint64 `json:"term"`
	RaftID  uint64 `json:"raft_id"`
	Drive   string `json:"drive"`
}

const reignMessage = "a replica leads its group"

// terms reads the logs of all nodes, of all their starts: no term of a group has two leaders.
func (s *scene) terms() error {
	type term struct {
		group uint32
		term  uint64
	}
	leaders := map[term]reign{}
	highest := uint64(0)
	for _, m := range s.fleet.ever {
		f, err := os.Open(m.logPath())
		if err != nil {
			return err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var r reign
			if json.Unmarshal(lines.Bytes(), &r) != nil || r.Message != reignMessage {
				continue
			}
			t := term{r.Group, r.Term}
			if other, twice := leaders[t]; twice && other != r {
				return fmt.Errorf("group %d had two leaders in term %d: replica %d on drive %s and %d on %s", r.Group, r.Term, r.RaftID, r.Drive, other.RaftID, other.Drive)
			}
			leaders[t], highest = r, max(highest, r.Term)
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("read %s: %w", m.logPath(), err)
		}
	}
	if len(leaders) == 0 {
		return fmt.Errorf("no log says who led a group (%q)", reignMessage)
	}
	s.say("leaders: %d terms of all groups had one leader each, the highest is %d", len(leaders), highest)
	return nil
}
