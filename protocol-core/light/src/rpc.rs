//! A light block from three calls of CometBFT's RPC; bytes in, bytes out.
//!
//! `commit` gives header and signatures, `validators` the sets of a height and of the next, page by page.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tendermint::block::signed_header::SignedHeader;
use tendermint::validator::{Info, Set};

use crate::LightBlock;

/// Validators that are asked for at once: the most that a node gives.
pub const PAGE: usize = 100;
/// Most validators of a set; CometBFT's limit on signatures of a commit.
const MAX_VALIDATORS: usize = 10_000;

/// Why an answer is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The node answered with an error.
    #[error("the node says: {0}")]
    Refused(String),
    /// It is not what such a call is answered with.
    #[error("malformed answer: {0}")]
    Malformed(String),
}

#[derive(Deserialize)]
struct Envelope<T> {
    result: Option<T>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct CommitAnswer {
    signed_header: SignedHeader,
}

#[derive(Deserialize)]
struct ValidatorsAnswer {
    validators: Vec<Info>,
    total: String,
}

#[derive(Deserialize)]
struct StatusAnswer {
    sync_info: SyncInfo,
}

#[derive(Deserialize)]
struct SyncInfo {
    latest_block_height: String,
}

/// The call that says which block is a node's newest.
#[must_use]
pub fn newest() -> Call {
    Call {
        method: "status",
        params: json!({}),
    }
}

/// Height in the answer to [`newest`].
pub fn newest_height(bytes: &[u8]) -> Result<u64, AnswerError> {
    let answer: StatusAnswer = result(bytes)?;
    let height = answer.sync_info.latest_block_height;
    height
        .parse()
        .map_err(|_| AnswerError::Malformed(format!("{height:?} is no height")))
}

/// What is collected of a light block, call by call.
#[derive(Debug)]
pub struct Collector {
    height: u64,
    signed_header: Option<SignedHeader>,
    sets: [Option<Vec<Info>>; 2],
    /// Validators of the set that is being asked for.
    page: Vec<Info>,
}

/// A call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Method.
    pub method: &'static str,
    /// Params, by name.
    pub params: Value,
}

impl Call {
    /// The JSON-RPC request.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": self.method, "params": self.params})
    }
}

impl Collector {
    /// Of the block at `height`.
    #[must_use]
    pub const fn new(height: u64) -> Self {
        Self {
            height,
            signed_header: None,
            sets: [None, None],
            page: Vec::new(),
        }
    }

    /// The call that is needed next; `None` once [`Collector::finish`] has all.
    #[must_use]
    pub fn call(&self) -> Option<Call> {
        if self.signed_header.is_none() {
            let params = json!({"height": self.height.to_string()});
            return Some(Call {
                method: "commit",
                params,
            });
        }
        let missing = self.sets.iter().position(Option::is_none)?;
        let height = self.height + u64::try_from(missing).unwrap_or(0);
        let page = self.page.len() / PAGE + 1;
        let params = json!({
            "height": height.to_string(), "page": page.to_string(), "per_page": PAGE.to_string(),
        });
        Some(Call {
            method: "validators",
            params,
        })
    }

    /// Takes the answer to that call.
    pub fn answer(&mut self, bytes: &[u8]) -> Result<(), AnswerError> {
        if self.signed_header.is_none() {
            let answer: CommitAnswer = result(bytes)?;
            self.signed_header = Some(answer.signed_header);
            return Ok(());
        }
        let Some(missing) = self.sets.iter_mut().find(|set| set.is_none()) else {
            return Ok(());
        };
        let answer: ValidatorsAnswer = result(bytes)?;
        let malformed = |text: &str| AnswerError::Malformed(text.into());
        let total: usize = answer
            .total
            .parse()
            .map_err(|_| malformed("the number of validators is none"))?;
        self.page.extend(answer.validators);
        // Such sums have no place in a set.
        let powers = self.page.iter().map(Info::power);
        if powers.fold(0, u64::saturating_add) > Set::MAX_TOTAL_VOTING_POWER {
            return Err(malformed("the validators have more power than there is"));
        }
        let whole_page = self.page.len().is_multiple_of(PAGE) && !self.page.is_empty();
        if total > MAX_VALIDATORS || self.page.len() > total || self.page.len() < total && !whole_page {
            return Err(malformed("pages of validators do not add up to their number"));
        }
        if self.page.len() == total {
            *missing = Some(std::mem::take(&mut self.page));
        }
        Ok(())
    }

    /// The block; `None` while something is missing.
    #[must_use]
    pub fn finish(self) -> Option<LightBlock> {
        let [Some(validators), Some(next)] = self.sets else {
            return None;
        };
        let signed_header = self.signed_header?;
        let proposer = signed_header.header.proposer_address;
        // Absent from the set only in a block that does not verify.
        let set = |infos: Vec<Info>| {
            Set::with_proposer(infos.clone(), proposer).unwrap_or_else(|_| Set::without_proposer(infos))
        };
        Some(LightBlock {
            validators: set(validators),
            next_validators: set(next),
            signed_header,
        })
    }
}

fn result<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AnswerError> {
    let envelope: Envelope<T> =
        serde_json::from_slice(bytes).map_err(|error| AnswerError::Malformed(error.to_string()))?;
    match (envelope.result, envelope.error) {
        (Some(result), None) => Ok(result),
        (_, Some(refusal)) => Err(AnswerError::Refused(match refusal.data {
            Value::String(data) if !data.is_empty() => format!("{}: {data}", refusal.message),
            _ => refusal.message,
        })),
        (None, None) => Err(AnswerError::Malformed("neither result nor error".into())),
    }
}
