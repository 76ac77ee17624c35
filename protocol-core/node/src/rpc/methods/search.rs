//! Params of a search.

use crate::api::ApiError;
use crate::rpc::error::RpcError;
use crate::rpc::request::Params;
use crate::search::{self, Query};

/// Entries of a page, unless asked otherwise.
const DEFAULT_PAGE: usize = 30;
/// Most entries of a page.
const MAX_PAGE: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// A query and the page of its hits that is wanted.
pub(super) struct Search {
    pub(super) query: Query,
    order: Order,
    page: Option<i64>,
    per_page: Option<i64>,
}

impl Search {
    pub(super) fn read(params: &Params, default: Order) -> Result<Self, RpcError> {
        let order = match params.string("order_by")?.as_str() {
            "" => default,
            "asc" => Order::Ascending,
            "desc" => Order::Descending,
            _ => {
                let text = "expected order_by to be either `asc` or `desc` or empty";
                return Err(RpcError::internal(text.to_owned()));
            }
        };
        let query = Query::parse(&params.string("query")?);
        Ok(Self {
            query: query.map_err(|error| RpcError::internal(error.to_string()))?,
            order,
            page: params.number("page")?,
            per_page: params.number("per_page")?,
        })
    }

    /// The wanted page of hits that are in ascending order.
    pub(super) fn page<T: Copy>(&self, mut hits: Vec<T>) -> Result<Vec<T>, ApiError> {
        if self.order == Order::Descending {
            hits.reverse();
        }
        search::page(&hits, self.page, self.per_page, DEFAULT_PAGE, MAX_PAGE)
    }
}
