package sniff

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

func TestAStringAcrossTwoWindowsIsFound(t *testing.T) {
	dir := t.TempDir()
	body := bytes.Repeat([]byte{'.'}, 2*windowLen)
	copy(body[windowLen-3:], "canary")
	if err := os.WriteFile(filepath.Join(dir, "f"), body, 0o600); err != nil {
		t.Fatal(err)
	}
	hits, size, err := Search(dir, map[string][]byte{"there": []byte("canary"), "not": []byte("canaries")})
	if err != nil || size != int64(len(body)) || len(hits["there"]) != 1 || len(hits["not"]) != 0 {
		t.Errorf("%v, %d bytes, %v", hits, size, err)
	}
}

func TestOnlyPacketsBetweenTheHostsCount(t *testing.T) {
	a, b, c := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	packet := func(from, to netip.Addr, body string) []byte {
		p := make([]byte, 20, 64)
		p[0] = 0x45
		copy(p[12:], from.AsSlice())
		copy(p[16:], to.AsSlice())
		return append(p, "\x00\x50\x23\x28"+body...)
	}
	s := &Sniffer{fd: -1, between: map[netip.Addr]bool{a: true, b: true}, patterns: map[string][]byte{"canary": []byte("canary")}}
	s.report.Found, s.report.First = map[string]int{}, map[string]string{}
	s.look(packet(a, c, "a canary"))
	s.look(packet(c, a, "a canary"))
	s.look(packet(a, b, "nothing"))
	s.look(packet(b, a, "a canary"))
	s.look(nil)
	r := s.Report()
	if r.Packets != 2 || r.Found["canary"] != 1 || r.First["canary"] != "10.0.0.2 to 10.0.0.1, port 80 to 9000" {
		t.Errorf("%+v", r)
	}
}
