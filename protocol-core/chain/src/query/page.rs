//! Pages of a list, as the SDK cuts them.

use portico_protocol::wire::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use prost::Message;

use super::view::QueryError;
use crate::context::{decode, prefix_end};
use crate::state::{Entry, StateError, StateRead, Store};

/// Entries of a page when the request does not say.
const DEFAULT_PAGE: usize = 100;
/// Most entries of a page; larger requests get this many.
pub const MAX_PAGE: usize = 1_000;
/// Entries read from state at once.
const CHUNK: usize = 256;
/// Most entries that one query looks at: to count, to turn around, or to find those that a filter wants.
const MAX_SCANNED: usize = 200_000;

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

/// One page of the values under `prefix` that are `wanted`. Offsets and totals count wanted values only; a key is where to go on.
pub(super) fn filtered<M: Message + Default>(
    state: &dyn StateRead,
    store: Store,
    prefix: &[u8],
    request: Option<PageRequest>,
    wanted: impl Fn(&M) -> bool,
) -> Result<Page<M>, QueryError> {
    mapped(state, store, prefix, request, |key, value| {
        let value: M = decode(store, key, value)?;
        Ok(wanted(&value).then_some(value))
    })
}

/// As [`filtered`], for values that `read` makes of an entry's key and value; `None` passes it over.
pub(super) fn mapped<M>(
    state: &dyn StateRead,
    store: Store,
    prefix: &[u8],
    request: Option<PageRequest>,
    read: impl Fn(&[u8], &[u8]) -> Result<Option<M>, QueryError>,
) -> Result<Page<M>, QueryError> {
    let request = request.unwrap_or_default();
    if request.offset > 0 && !request.key.is_empty() {
        return Err(QueryError::InvalidArgument(
            "either offset or key is expected, got both".into(),
        ));
    }
    // A request that says nothing about its page wants to know how much there is.
    let count = request.key.is_empty() && (request.count_total || request.limit == 0);
    let mut cut = Cut {
        prefix,
        skip: usize::try_from(request.offset).unwrap_or(usize::MAX),
        limit: match usize::try_from(request.limit).unwrap_or(MAX_PAGE) {
            0 => DEFAULT_PAGE,
            limit => limit.min(MAX_PAGE),
        },
        count,
        page: Vec::new(),
        seen: 0,
        next_key: Vec::new(),
    };
    let range = Range::new(prefix, &request);
    for entry in range.entries(state, store) {
        let (key, value) = entry?;
        if let Some(value) = read(&key, &value)?
            && !cut.take(&key, value)
        {
            break;
        }
    }
    let total = if count { cut.seen as u64 } else { 0 };
    let next_key = cut.next_key;
    Ok((cut.page, Some(PageResponse { next_key, total })))
}

/// A page being filled.
struct Cut<'a, M> {
    prefix: &'a [u8],
    skip: usize,
    limit: usize,
    count: bool,
    page: Vec<M>,
    /// Wanted values so far.
    seen: usize,
    next_key: Vec<u8>,
}

impl<M> Cut<'_, M> {
    /// Takes the next wanted value; `false` when nothing more is needed.
    fn take(&mut self, key: &[u8], value: M) -> bool {
        self.seen = self.seen.saturating_add(1);
        if self.seen <= self.skip {
            return true;
        }
        if self.page.len() < self.limit {
            self.page.push(value);
            return true;
        }
        if self.next_key.is_empty() {
            self.next_key = key.strip_prefix(self.prefix).unwrap_or_default().to_vec();
        }
        self.count
    }
}

/// The keys that a request reads, in its direction.
struct Range {
    from: Vec<u8>,
    to: Option<Vec<u8>>,
    reverse: bool,
}

impl Range {
    fn new(prefix: &[u8], request: &PageRequest) -> Self {
        let at = [prefix, &request.key].concat();
        let whole = request.key.is_empty();
        match (request.reverse, whole) {
            (false, _) => Self {
                from: at,
                to: prefix_end(prefix),
                reverse: false,
            },
            (true, true) => Self {
                from: at,
                to: prefix_end(prefix),
                reverse: true,
            },
            // Backwards from the key, which is included.
            (true, false) => Self {
                from: prefix.to_vec(),
                to: Some([at.as_slice(), &[0]].concat()),
                reverse: true,
            },
        }
    }

    /// Entries one by one; forwards they are read in chunks as they are needed.
    fn entries<'a>(
        self,
        state: &'a dyn StateRead,
        store: Store,
    ) -> Box<dyn Iterator<Item = Result<Entry, QueryError>> + 'a> {
        if self.reverse {
            return match state.range(store, &self.from, self.to.as_deref(), MAX_SCANNED) {
                Ok(entries) if entries.len() < MAX_SCANNED => Box::new(entries.into_iter().rev().map(Ok)),
                Ok(_) => Box::new(std::iter::once(Err(too_many()))),
                Err(error) => Box::new(std::iter::once(Err(error.into()))),
            };
        }
        Box::new(Chunks {
            state,
            store,
            from: Some(self.from),
            to: self.to,
            chunk: Vec::new().into_iter(),
            scanned: 0,
        })
    }
}

fn too_many() -> QueryError {
    QueryError::InvalidArgument(format!("more than {MAX_SCANNED} entries: ask for pages by key"))
}

/// Entries of a range, read in chunks.
struct Chunks<'a> {
    state: &'a dyn StateRead,
    store: Store,
    /// Where the next chunk begins; `None` after the last.
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
    chunk: std::vec::IntoIter<Entry>,
    scanned: usize,
}

impl Chunks<'_> {
    fn refill(&mut self) -> Result<(), StateError> {
        let Some(from) = self.from.take() else {
            return Ok(());
        };
        let chunk = self.state.range(self.store, &from, self.to.as_deref(), CHUNK)?;
        if let (CHUNK, Some((last, _))) = (chunk.len(), chunk.last()) {
            self.from = Some([last.as_slice(), &[0]].concat());
        }
        self.scanned = self.scanned.saturating_add(chunk.len());
        self.chunk = chunk.into_iter();
        Ok(())
    }
}

impl Iterator for Chunks<'_> {
    type Item = Result<Entry, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.as_slice().is_empty() {
            if self.scanned > MAX_SCANNED {
                self.from = None;
                self.scanned = 0;
                return Some(Err(too_many()));
            }
            if let Err(error) = self.refill() {
                return Some(Err(error.into()));
            }
        }
        self.chunk.next().map(Ok)
    }
}

/// One page of a list that is at hand; keys are places in it.
pub(super) fn of_list<M>(list: Vec<M>, request: Option<PageRequest>) -> Result<Page<M>, QueryError> {
    let entries: Vec<(String, M)> = list
        .into_iter()
        .enumerate()
        .map(|(at, one)| (format!("{at:08}"), one))
        .collect();
    let request = request.unwrap_or_default();
    let total = entries.len() as u64;
    let from = match (request.offset, request.key.as_slice()) {
        (0, []) => 0,
        (offset, []) => usize::try_from(offset).unwrap_or(usize::MAX),
        (0, key) => entries
            .iter()
            .take_while(|(place, _)| place.as_bytes() < key)
            .count(),
        _ => {
            let text = "either offset or key is expected, got both";
            return Err(QueryError::InvalidArgument(text.into()));
        }
    };
    let limit = match usize::try_from(request.limit).unwrap_or(MAX_PAGE) {
        0 => DEFAULT_PAGE,
        limit => limit.min(MAX_PAGE),
    };
    let count = request.key.is_empty() && (request.count_total || request.limit == 0);
    let mut rest = entries.into_iter().skip(from);
    let page: Vec<M> = rest.by_ref().take(limit).map(|(_, one)| one).collect();
    let next_key = rest
        .next()
        .map(|(place, _)| place.into_bytes())
        .unwrap_or_default();
    let total = if count { total } else { 0 };
    Ok((page, Some(PageResponse { next_key, total })))
}

/// The page info of a list that is always whole.
pub(super) const fn whole(len: usize) -> PageResponse {
    PageResponse {
        next_key: Vec::new(),
        total: len as u64,
    }
}
