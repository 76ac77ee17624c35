//! What every role's metrics begin with.

use anyhow::Result;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Registry};

/// Counts the process's allocations; `portico bench` reads it.
pub(crate) const ALLOCATIONS: &str = "portico_allocations_total";

/// A registry with what is known of the process.
pub(crate) fn registry() -> Result<Registry> {
    let registry = Registry::new();
    let help = "Memory allocations of the process, reallocations included.";
    registry.register(Box::new(Allocations(IntCounter::new(ALLOCATIONS, help)?)))?;
    Ok(registry)
}

/// The allocator's count, taken when it is read.
struct Allocations(IntCounter);

impl Collector for Allocations {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let count = portico_alloc::allocations();
        self.0.inc_by(count.saturating_sub(self.0.get()));
        self.0.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::registry;

    #[test]
    fn allocations_are_counted_since_the_process_began() {
        let registry = registry().unwrap();
        let read = || registry.gather()[0].get_metric()[0].get_counter().get_value();
        let before = read();
        let boxes: Vec<Box<u64>> = (0..100).map(Box::new).collect();
        assert!(read() >= before + 100.0, "{boxes:?}");
    }
}
