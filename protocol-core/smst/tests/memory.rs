//! What a session's leaves take in memory; alone in its process, so that nothing else is counted.

use peak_alloc::PeakAlloc;
use portico_smst::{LeafSet, Path};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most bytes per leaf while a session is open, whatever it has done so far: inserted, grown, claimed, proved.
const BUDGET: usize = 100;

#[test]
fn a_leaf_takes_at_most_a_hundred_bytes_while_its_session_is_open() {
    let before = MEMORY.current_usage();
    let per_leaf = |bytes: usize, leaves: usize| (bytes - before).div_ceil(leaves);
    let mut set = LeafSet::new(1);
    let (mut seq, mut most) = (0u64, 0);
    for leaves in [10_000, 150_000, 600_000, 1_000_000] {
        MEMORY.reset_peak_usage();
        while set.len() < leaves {
            let path = Path::of_key(&seq.to_be_bytes());
            assert!(set.insert(path, *path.as_bytes(), seq));
            seq += 1;
        }
        let growing = per_leaf(MEMORY.peak_usage(), leaves);
        let open = per_leaf(MEMORY.current_usage(), leaves);
        set.root();
        let claimed = per_leaf(MEMORY.current_usage(), leaves);
        println!(
            "{leaves} leaves: {open} bytes each, {claimed} with the root known, {growing} at most before"
        );
        most = most.max(growing).max(claimed);
    }
    assert!(most <= BUDGET, "{most} bytes per leaf");

    drop(set);
    let kept = MEMORY.current_usage().saturating_sub(before);
    assert!(kept < 64 << 10, "a closed session keeps {kept} bytes");
}
