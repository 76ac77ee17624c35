//! A global allocator that counts: every allocation goes to another allocator, and adds one to a counter of its thread.
//!
//! The counters are a load and a store in a cache line that one thread uses (see `STRIPES`), about a nanosecond, so that every build
//! counts and `portico bench relay` can tell what a relay allocates without a build of its own. Frees are not counted.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counters, one cache line each; threads take them in turn. Two threads share one only when more than this many were started, and
/// may then lose a count when they allocate in the same instant: a figure per relay does not see it.
const STRIPES: usize = 64;

#[repr(align(64))]
struct Stripe(AtomicU64);

static COUNTS: [Stripe; STRIPES] = [const { Stripe(AtomicU64::new(0)) }; STRIPES];
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Index into [`COUNTS`]; a plain cell, so that it needs no allocation and no destructor.
    static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Allocations of the process so far, reallocations included; 0 unless [`Counting`] is its global allocator.
#[must_use]
pub fn allocations() -> u64 {
    let counts = COUNTS.iter().map(|stripe| stripe.0.load(Ordering::Relaxed));
    counts.fold(0, u64::wrapping_add)
}

fn count() {
    let index = STRIPE.try_with(|stripe| {
        stripe.get().unwrap_or_else(|| {
            let index = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
            stripe.set(Some(index));
            index
        })
    });
    let stripe = &COUNTS[index.unwrap_or_default()].0;
    // Not fetch_add: a locked instruction costs five times as much, and the line is this thread's.
    stripe.store(stripe.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Size in bytes from which on a block of glibc's allocator is a mapping of its own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: i32 = 1 << 20;

/// Lets the system's allocator hand large blocks back to the system as soon as they are freed; other allocators than glibc's do so by themselves.
///
/// glibc puts up its own bound to 32 MiB when it sees large blocks come and go, and keeps what was freed between smaller blocks: a process that
/// held 128 MiB of answers at a time grew to more than 500.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` sets a number under the allocator's own lock; a number that it refuses changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Counts the allocations of `A`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting<A>(pub A);

// SAFETY: every method passes its arguments on to `A` unchanged and returns what `A` returned; counting neither allocates nor unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `A`.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller got `pointer` from this allocator, hence from `A`, with this layout.
        unsafe { self.0.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::System;
    use std::hint::black_box;

    use super::{Counting, allocations};

    #[global_allocator]
    static ALLOCATOR: Counting<System> = Counting(System);

    #[test]
    fn allocations_of_all_threads_are_counted() {
        let before = allocations();
        let thread = std::thread::spawn(|| {
            for number in 0..1_000_u64 {
                black_box(Box::new(number));
            }
        });
        thread.join().unwrap();
        let text: String = black_box("x".repeat(100));
        drop(text);
        let counted = allocations().wrapping_sub(before);
        assert!((1_001..2_000).contains(&counted), "{counted}");
    }

    /// `cargo test --release -p portico-alloc -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn cost_of_counting() {
        let nanos = |allocate: &dyn Fn()| {
            let rounds = (0..20).map(|_| {
                #[allow(clippy::disallowed_methods)] // a measurement of real time
                let begun = std::time::Instant::now();
                (0..1_000_000).for_each(|_| allocate());
                begun.elapsed().as_nanos() as f64 / 1e6
            });
            rounds.fold(f64::INFINITY, f64::min)
        };
        let counting = nanos(&|| drop(black_box(Box::new(1_u64))));
        let alone = nanos(&|| {
            use std::alloc::{GlobalAlloc, Layout};
            let layout = Layout::new::<u64>();
            // SAFETY: the layout has a size, and the pointer is freed with the layout it was made with.
            unsafe { System.dealloc(black_box(System.alloc(layout)), layout) };
        });
        println!("an allocation and its free: {alone:.1} ns, with counting {counting:.1} ns");
    }
}
