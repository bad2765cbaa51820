package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"holdfast/internal/kind"
)

// What errors.Is finds in the errors of calls, besides their kinds.
var (
	// ErrRefused: one of the two nodes does not talk to the other. No later call will do better, until
	// an operator has changed something. ErrSecret, ErrCluster and ErrRole are all ErrRefused.
	ErrRefused = errors.New("rpc: refused")
	// ErrSecret: the peer has another cluster secret.
	ErrSecret = fmt.Errorf("%w: the peer has another cluster secret", ErrRefused)
	// ErrCluster: the peer belongs to another cluster, or to one and this node to none.
	ErrCluster = fmt.Errorf("%w: the peer belongs to another cluster", ErrRefused)
	// ErrRole: the method is not for nodes of this one's role.
	ErrRole = fmt.Errorf("%w: not allowed for this node's role", ErrRefused)
	// ErrNotSent: the call did not reach the peer: nothing has happened there.
	ErrNotSent = errors.New("rpc: not sent")
)

// Codes in which the refusals of a server travel; errors of handlers never use them.
const (
	codeCluster = codes.Unauthenticated
	codeRole    = codes.PermissionDenied
)

// maxErrorText keeps an error's text within what headers may hold, in bytes.
const maxErrorText = 2 << 10

// toStatus is how a handler's error travels: the text, and the kind as a detail.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	k := kind.Of(err)
	switch {
	case k != kind.Unknown:
	case errors.Is(err, context.DeadlineExceeded):
		k = kind.Timeout
	case errors.Is(err, context.Canceled):
		k = kind.Canceled
	default:
		if s, ok := status.FromError(err); ok { // of gRPC itself, such as a message that is too large
			return s.Err()
		}
	}
	code := codes.Unknown
	switch k {
	case kind.Timeout:
		code = codes.DeadlineExceeded
	case kind.Canceled:
		code = codes.Canceled
	case kind.Unavailable, kind.NotLeader:
		code = codes.Unavailable
	case kind.Unbuilt:
		code = codes.Unimplemented
	}
	text := err.Error()
	if len(text) > maxErrorText {
		text = text[:maxErrorText]
	}
	s := status.New(code, text)
	if k != kind.Unknown {
		if with, err := s.WithDetails(wrapperspb.UInt32(uint32(k))); err == nil {
			s = with
		}
	}
	return s.Err()
}

// refused is a server's refusal of a call.
func refused(code codes.Code, format string, args ...any) error {
	return status.Errorf(code, format, args...)
}

// fromStatus turns what gRPC returns to a client into an error of a kind. sent is false where the call
// surely did not reach the peer.
func fromStatus(err error, method, address string, sent bool) error {
	s := status.Convert(err)
	k, answered := kindOf(s)
	cause := causeOf(s.Code(), answered)
	if !sent && !answered {
		if cause == nil {
			cause = ErrNotSent
		} else {
			cause = fmt.Errorf("%w, %w", ErrNotSent, cause)
		}
	}
	text := s.Message()
	if cause != nil {
		return kind.Wrap(k, cause, "rpc: %s at %s: %s", method, address, text)
	}
	return kind.New(k, "rpc: %s at %s: %s", method, address, text)
}

// kindOf finds the kind of a status. answered says that a handler chose it.
func kindOf(s *status.Status) (k kind.Kind, answered bool) {
	for _, d := range s.Details() {
		if v, ok := d.(*wrapperspb.UInt32Value); ok && v.GetValue() <= 0xFFFF {
			return kind.Kind(v.GetValue()), true
		}
	}
	switch s.Code() {
	case codes.Unavailable, codeCluster, codeRole:
		return kind.Unavailable, false
	case codes.DeadlineExceeded:
		return kind.Timeout, false
	case codes.Canceled:
		return kind.Canceled, false
	case codes.Unimplemented: // a node of an older version
		return kind.Unbuilt, false
	}
	return kind.Unknown, false
}

func causeOf(c codes.Code, answered bool) error {
	switch {
	case c == codeCluster:
		return ErrCluster
	case c == codeRole:
		return ErrRole
	case answered:
	case c == codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case c == codes.Canceled:
		return context.Canceled
	}
	return nil
}
