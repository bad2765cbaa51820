package rpc

import (
	"context"

	"google.golang.org/grpc"
)

// Unary makes the description of a unary method by hand. S is the implementation's type; Q and A are
// protobuf messages or Frames, by value: Unary("Stat", (*Service).stat) for
// func (s *Service) stat(ctx context.Context, q *pb.StatRequest) (*pb.StatAnswer, error). What the answer
// holds must not be part of a Frame that was the request.
func Unary[S, Q, A any](name string, call func(S, context.Context, *Q) (*A, error)) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(impl any, ctx context.Context, decode func(any) error, guard grpc.UnaryServerInterceptor) (any, error) {
			handler := func(ctx context.Context, _ any) (any, error) { // nothing is decoded for whom the guard refuses
				q := new(Q)
				if err := decode(q); err != nil {
					return nil, err
				}
				defer release(q)
				a, err := call(impl.(S), ctx, q)
				if err != nil {
					return nil, err
				}
				return a, nil
			}
			return guard(ctx, nil, &grpc.UnaryServerInfo{Server: impl}, handler)
		},
	}
}

// Stream makes the description of a method that streams both ways.
func Stream[S any](name string, call func(S, grpc.ServerStream) error) grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName: name, ServerStreams: true, ClientStreams: true,
		Handler: func(impl any, ss grpc.ServerStream) error { return call(impl.(S), ss) },
	}
}

// Call makes a unary call and returns its answer.
func Call[A any](ctx context.Context, conn grpc.ClientConnInterface, method string, q any) (*A, error) {
	a := new(A)
	if err := conn.Invoke(ctx, method, q, a); err != nil {
		return nil, err
	}
	return a, nil
}

// OpenStream opens a stream both ways. It ends when ctx does.
func OpenStream(ctx context.Context, conn grpc.ClientConnInterface, method string) (grpc.ClientStream, error) {
	return conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
}
