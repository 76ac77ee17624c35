//! Which spans are traces': those of relays that were sampled, and nothing that is logged.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use crate::{ROOT, STEP, sampling};

/// Takes the roots, which are made of sampled relays only, and what is below one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfRelays;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for OfRelays {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        match metadata.target() {
            ROOT => true,
            STEP => context.lookup_current().is_some(),
            _ => false,
        }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match metadata.target() {
            ROOT if sampling::has_begun() => Interest::always(),
            STEP if sampling::has_begun() => Interest::sometimes(),
            _ => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match sampling::has_begun() {
            true => LevelFilter::TRACE,
            false => LevelFilter::OFF,
        })
    }
}
