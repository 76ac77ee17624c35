//! An exchange: what comes back for one request, message by message.

use std::future::Future;

/// An open exchange with the far end of a relay: a supplier (whose messages are signed) or a backend (whose messages are not yet).
///
/// HTTP yields one message; WebSockets, event streams and gRPC streams yield many. Dropping an exchange ends it.
pub trait Exchange: Send {
    /// One message, whole.
    type Message;
    /// Why no further message comes, other than that the far end is done.
    type Fault;

    /// The next message, in the order in which they arrive; `None` when the far end is done. Not called again after `None` or a fault.
    fn next(&mut self) -> impl Future<Output = Option<Result<Self::Message, Self::Fault>>> + Send;
}
