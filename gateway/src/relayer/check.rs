//! From a supplier's message to an answer that may be shown: verified, then judged.

use portico_net::large::{LARGE, LargeWork};
use portico_protocol::PublicKey;
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_protocol::wire::pocket::session::SessionHeader;
use tokio::sync::Semaphore;

use crate::codec::{Codec, Verdict};
use crate::core::call::Call;
use crate::core::fault::Fault;
use crate::supplier::{Message, verify};

/// A response that may be shown, and what it says.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) response: RelayResponse,
    pub(super) verdict: Verdict,
}

/// What large messages wait for.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    /// A turn to be checked.
    pub(super) large: &'a LargeWork,
    /// A turn to undo a content encoding.
    pub(super) decoding: &'a Semaphore,
}

/// Everything that is checked of a message; small ones here, large ones on the pool for them. A small one whose answer turns out to be large,
/// once its content encoding is undone, begins again there.
pub(super) async fn check<C: Codec>(
    codec: C,
    message: Message,
    header: &SessionHeader,
    supplier: PublicKey,
    call: &Call<C::Expected>,
    max_bytes: usize,
    turns: Turns<'_>,
) -> Result<Checked, Fault> {
    let mut decodes = false;
    if message.bytes.len() < LARGE {
        let inline = max_bytes.min(LARGE);
        match check_here(codec, message.again(), header, &supplier, call, inline) {
            Err(Fault::TooLarge(_)) if inline < max_bytes => decodes = true,
            outcome => return outcome,
        }
    }
    let (header, call) = (header.clone(), call.clone());
    // Boxed: it is rare, and would be a part of every future above it.
    let elsewhere = async move {
        let _turn = match decodes {
            true => turns.decoding.acquire().await.ok(),
            false => None,
        };
        let check = move || check_here(codec, message, &header, &supplier, &call, max_bytes);
        turns.large.run(check).await
    };
    Box::pin(elsewhere).await.unwrap_or(Err(Fault::Undecodable)) // the runtime is going down
}

fn check_here<C: Codec>(
    codec: C,
    message: Message,
    header: &SessionHeader,
    supplier: &PublicKey,
    call: &Call<C::Expected>,
    max_bytes: usize,
) -> Result<Checked, Fault> {
    let response = verify(message, header, supplier)?;
    let verdict = codec.judge(call, response.payload.clone(), max_bytes)?;
    Ok(Checked { response, verdict })
}

#[cfg(test)]
mod tests;
