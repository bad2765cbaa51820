package filter

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"holdfast/internal/xmlio"
)

// RuleID makes an ID for a rule that came without: from what it says, so that the same document
// always gets the same ones. It adds it to those that are taken.
func RuleID(rule xmlio.Writable, taken map[string]bool) string {
	x := xmlio.New(0)
	defer x.Free()
	rule.WriteXML(x)
	for n := int64(0); ; n++ {
		sum := sha256.Sum256(strconv.AppendInt(x.B[:len(x.B):len(x.B)], n, 10))
		if id := hex.EncodeToString(sum[:16]); !taken[id] {
			taken[id] = true
			return id
		}
	}
}
