//! Which relays are traced.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::SpanContext;
use portico_config::traces::TracesConfig;

/// The choice of this process; none until spans are exported.
static SAMPLING: OnceLock<Sampling> = OnceLock::new();

/// From now on relays are chosen as configured. The first configuration of a process stays.
pub(crate) fn begin(config: &TracesConfig) {
    let _ = SAMPLING.set(Sampling::new(config));
}

/// Whether relays may be traced.
pub(crate) fn has_begun() -> bool {
    SAMPLING.get().is_some()
}

/// Whether a relay is traced whose caller's span is `parent`.
pub(crate) fn takes(parent: Option<&SpanContext>) -> bool {
    SAMPLING.get().is_some_and(|sampling| sampling.takes(parent))
}

/// Takes a part of the relays.
#[derive(Debug)]
struct Sampling {
    /// Of 2^64 relays, as many.
    part: u128,
    parent_based: bool,
    relays: AtomicU64,
}

impl Sampling {
    fn new(config: &TracesConfig) -> Self {
        Self {
            part: part(config.sample_ratio),
            parent_based: config.parent_based,
            relays: AtomicU64::new(0),
        }
    }

    fn takes(&self, parent: Option<&SpanContext>) -> bool {
        let draw = match parent {
            Some(parent) if self.parent_based => return parent.is_sampled(),
            // As other samplers by ratio draw, so that a trace is whole: from the trace's id.
            Some(parent) => {
                let id = parent.trace_id().to_bytes();
                u64::from_be_bytes([id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]])
            }
            None => scattered(self.relays.fetch_add(1, Ordering::Relaxed)),
        };
        u128::from(draw) < self.part
    }
}

/// A ratio as a part of 2^64.
fn part(ratio: f64) -> u128 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a ratio is 0 to 1, and the cast saturates"
    )]
    let part = (ratio * 18_446_744_073_709_551_616.0) as u128;
    part
}

/// A count spread over all numbers (SplitMix64): relays are not taken in step with what comes in turns.
const fn scattered(count: u64) -> u64 {
    let mixed = count.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    fn sampling(sample_ratio: f64, parent_based: bool) -> Sampling {
        Sampling::new(&TracesConfig {
            sample_ratio,
            parent_based,
            ..TracesConfig::default()
        })
    }

    fn parent(trace_id: u128, flags: TraceFlags) -> SpanContext {
        let (trace, span) = (TraceId::from(trace_id), SpanId::from(1));
        SpanContext::new(trace, span, flags, true, TraceState::default())
    }

    #[test]
    fn takes_the_part_that_is_wanted() {
        for (ratio, least, most) in [
            (0.0, 0, 0),
            (0.01, 70, 130),
            (0.5, 4_800, 5_200),
            (1.0, 10_000, 10_000),
        ] {
            let sampling = sampling(ratio, true);
            let taken = (0..10_000).filter(|_| sampling.takes(None)).count();
            assert!((least..=most).contains(&taken), "{ratio}: {taken}");
        }
    }

    #[test]
    fn follows_the_caller_where_it_may() {
        let (sampled, unsampled) = (parent(1, TraceFlags::SAMPLED), parent(1, TraceFlags::default()));
        for ratio in [0.0, 1.0] {
            let follows = sampling(ratio, true);
            assert!(follows.takes(Some(&sampled)) && !follows.takes(Some(&unsampled)));
            let own = sampling(ratio, false);
            let decides = (own.takes(Some(&sampled)), own.takes(Some(&unsampled)));
            assert_eq!(decides, (ratio > 0.5, ratio > 0.5));
        }
    }
}
