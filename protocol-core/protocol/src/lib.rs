//! Types, wire formats and rules of the relay protocol. Pure.
