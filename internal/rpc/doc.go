// Package rpc is how nodes talk: gRPC over mutual TLS 1.3, and no meaning of any service.
//
//	Identity   who this process is: certificate, role, cluster
//	Server     answers peers; each method is registered with the roles that may call it
//	Pool       the connections to peers; Conn for decisions, Bulk for bytes
//	Frame      a message of raw bytes; all other messages are protobuf
//
// What always holds:
//
//   - Both sides show a certificate made from the cluster secret, or there is no connection (ErrSecret).
//   - A call says the caller's cluster and is answered with the server's. Between two different ones no
//     call is made (ErrCluster); between a node with a cluster and one without, only calls of methods
//     that a Forming node may make. Who is refused is logged on both sides, once a minute a reason.
//   - Errors keep their kind (package kind) across the wire. What gRPC itself finds has kind Unavailable
//     (no connection, a broken one, a refusal), Timeout or Canceled. errors.Is(err, ErrNotSent) means
//     that the peer saw nothing of the call; without it, it may have happened.
//   - A unary call without a deadline gets CallTimeout. A stream ends with the context it was opened with.
//   - A panic of a handler is that call's error, and a line in the log.
//
// A service is described by hand:
//
//	const service = "holdfast.Example"
//
//	func desc() *grpc.ServiceDesc {
//		return &grpc.ServiceDesc{
//			ServiceName: service,
//			HandlerType: (*any)(nil),
//			Methods: []grpc.MethodDesc{rpc.Unary("Greet", (*Example).greet)},
//			Streams: []grpc.StreamDesc{rpc.Stream("Copy", (*Example).copy)},
//		}
//	}
//
//	// greet takes and answers protobuf messages.
//	func (e *Example) greet(ctx context.Context, q *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
//		peer, _ := rpc.PeerOf(ctx)
//		if q.Value == "" {
//			return nil, kind.New(kind.InvalidArgument, "example: greet %s: no name", peer.Node)
//		}
//		return wrapperspb.String("hello " + q.Value), nil
//	}
//
//	// copy sends back what it is sent.
//	func (e *Example) copy(s grpc.ServerStream) error {
//		for {
//			var f rpc.Frame
//			if err := s.RecvMsg(&f); err == io.EOF {
//				return nil
//			} else if err != nil {
//				return err
//			}
//			if err := s.SendMsg(&f); err != nil { // which uses f up; else f.Free()
//				return err
//			}
//		}
//	}
//
//	err := server.Handle(desc(), &Example{}, map[string]rpc.Roles{"Greet": rpc.Anyone, "Copy": rpc.Storage})
//
//	conn := pool.Conn("10.0.0.2:9001")
//	answer, err := rpc.Call[wrapperspb.StringValue](ctx, conn, "/"+service+"/Greet", wrapperspb.String("ada"))
//	stream, err := rpc.OpenStream(ctx, conn, "/"+service+"/Copy")
//	err = stream.SendMsg(&rpc.Frame{Header: []byte{1}, Payload: rpc.Bytes(block)})
//
// A stream's client must see its end: RecvMsg until an error, or the end of its context. A handler whose
// stream lasts as long as its peer calls Unawaited, so that Stop does not wait for it.
package rpc
