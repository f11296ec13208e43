//! HTTP/2 with prior knowledge, and gRPC.
