//! Pages of a list, as the SDK cuts them.

use portico_protocol::wire::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use prost::Message;

use super::QueryError;
use crate::context::{decode, prefix_end};
use crate::state::{StateRead, Store};

/// Entries of a page when the request does not say.
const DEFAULT_PAGE: usize = 100;
/// Most entries of a page; larger requests get this many.
pub const MAX_PAGE: usize = 1_000;

type Page<M> = (Vec<M>, Option<PageResponse>);

/// One page of all values under `prefix`.
pub(super) fn paged<M: Message + Default>(
    state: &dyn StateRead,
    store: Store,
    prefix: &[u8],
    request: Option<PageRequest>,
) -> Result<Page<M>, QueryError> {
    filtered(state, store, prefix, request, |_| true)
}

/// One page of a history, oldest first; state keeps the newest first.
pub(super) fn history<M: Message + Default>(
    state: &dyn StateRead,
    store: Store,
    prefix: &[u8],
    request: Option<PageRequest>,
) -> Result<Page<M>, QueryError> {
    let mut request = request.unwrap_or_default();
    request.reverse = !request.reverse;
    paged(state, store, prefix, Some(request))
}

/// One page of the values under `prefix` that are `wanted`. Keys and offsets count wanted values only.
pub(super) fn filtered<M: Message + Default>(
    state: &dyn StateRead,
    store: Store,
    prefix: &[u8],
    request: Option<PageRequest>,
    wanted: impl Fn(&M) -> bool,
) -> Result<Page<M>, QueryError> {
    let request = request.unwrap_or_default();
    if request.offset > 0 && !request.key.is_empty() {
        return Err(QueryError::InvalidArgument(
            "either offset or key is expected, got both".into(),
        ));
    }
    let limit = match usize::try_from(request.limit).unwrap_or(MAX_PAGE) {
        0 => DEFAULT_PAGE,
        limit => limit.min(MAX_PAGE),
    };
    let end = prefix_end(prefix);
    let mut all = Vec::new();
    for (key, value) in state.range(store, prefix, end.as_deref(), usize::MAX)? {
        let value: M = decode(store, &key, &value)?;
        if wanted(&value) {
            all.push((key, value));
        }
    }
    if request.reverse {
        all.reverse();
    }
    let total = if request.count_total || request.limit == 0 {
        all.len() as u64
    } else {
        0
    };
    let skip = if request.key.is_empty() {
        usize::try_from(request.offset).unwrap_or(usize::MAX)
    } else {
        all.iter()
            .position(|(key, _)| key[prefix.len()..] == request.key)
            .unwrap_or(all.len())
    };
    let next_key = all
        .get(skip.saturating_add(limit))
        .map(|(key, _)| key[prefix.len()..].to_vec())
        .unwrap_or_default();
    let page = all
        .into_iter()
        .skip(skip)
        .take(limit)
        .map(|(_, value)| value)
        .collect();
    Ok((page, Some(PageResponse { next_key, total })))
}

/// The page info of a list that is always whole.
pub(super) const fn whole(len: usize) -> PageResponse {
    PageResponse {
        next_key: Vec::new(),
        total: len as u64,
    }
}
