//! The front of the node's RPC.

/// Any bytes as a body, as the query part of a URI and as a query over events; what they say is read as each type of parameter.
pub fn rpc(data: &[u8]) {
    portico_node::read_rpc(data);
}
