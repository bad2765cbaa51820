// Package sniff reads what travels between hosts of this process's network namespace and looks for
// byte strings in it.
package sniff

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// Report is what was seen between the hosts.
type Report struct {
	Packets, Bytes int64
	// Dropped packets were not looked at: the capture proves nothing if there are any.
	Dropped int64
	// Found says in how many packets each string was, and between whom it was first.
	Found map[string]int
	First map[string]string
}

// Sniffer captures until Stop.
type Sniffer struct {
	fd       int
	between  map[netip.Addr]bool
	patterns map[string][]byte
	done     chan struct{}

	mu     sync.Mutex
	report Report
}

const (
	// snapLen holds the largest packet: segmentation is left to the hardware that is not there.
	snapLen = 128 << 10
	// bufferBytes holds what comes while others run.
	bufferBytes = 128 << 20
)

// Start captures all IPv4 packets from one of the hosts to another one. patterns are byte strings by
// name; each should be written densely enough to be in one packet as a whole.
func Start(between []netip.Addr, patterns map[string][]byte) (*Sniffer, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL)))
	if err != nil {
		return nil, fmt.Errorf("sniff: a packet socket: %w", err)
	}
	s := &Sniffer{fd: fd, between: map[netip.Addr]bool{}, patterns: patterns, done: make(chan struct{}), report: Report{Found: map[string]int{}, First: map[string]string{}}}
	for _, a := range between {
		s.between[a] = true
	}
	// The forced size needs privileges over the machine; without them it is what users may have.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferBytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufferBytes)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("sniff: a time limit for reads: %w", err)
	}
	return s, nil
}

// Run captures until ctx ends.
func (s *Sniffer) Run(ctx context.Context) error {
	defer close(s.done)
	packet := make([]byte, snapLen)
	for ctx.Err() == nil {
		n, from, err := unix.Recvfrom(s.fd, packet, 0)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("sniff: read: %w", err)
		}
		// What leaves by a port of the bridge has come by another: it is looked at once.
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		s.look(packet[:n])
	}
	return nil
}

// look searches one packet, which begins with its IP header.
func (s *Sniffer) look(p []byte) {
	if len(p) < 20 || p[0]>>4 != 4 {
		return
	}
	from, to := netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	if !s.between[from] || !s.between[to] {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Packets++
	s.report.Bytes += int64(len(p))
	for name, pattern := range s.patterns {
		if bytes.Contains(p, pattern) {
			if s.report.Found[name]++; s.report.First[name] == "" {
				s.report.First[name] = fmt.Sprintf("%s to %s, port %d to %d", from, to, port(p, 0), port(p, 2))
			}
		}
	}
}

// port reads a port of a TCP or UDP packet.
func port(p []byte, at int) uint16 {
	header := int(p[0]&0xf) * 4
	if len(p) < header+4 {
		return 0
	}
	return binary.BigEndian.Uint16(p[header+at:])
}

// Report is what was seen so far.
func (s *Sniffer) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stats, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		s.report.Dropped += int64(stats.Drops) // the kernel counts anew after each question
	}
	r := s.report
	r.Found, r.First = map[string]int{}, map[string]string{}
	for name, n := range s.report.Found {
		r.Found[name], r.First[name] = n, s.report.First[name]
	}
	return r
}

// Close ends a capture whose Run has ended.
func (s *Sniffer) Close() error {
	<-s.done
	return unix.Close(s.fd)
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }
