//! Freed memory goes back; a process of its own, since it is the process's memory that is looked at.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used)] // helpers of tests

use std::hint::black_box;

const MIB: usize = 1 << 20;

fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib >> 10
}

#[test]
fn freed_answers_between_what_stays_go_back_to_the_system() {
    portico_alloc::return_large_blocks();
    // From here on glibc would keep blocks of up to this size for itself.
    drop(black_box(vec![1_u8; 30 * MIB]));
    let before = resident_mib();
    let mut small = Vec::new();
    let large: Vec<_> = (0..16)
        .map(|_| {
            let large = black_box(vec![1_u8; 8 * MIB]);
            small.push(black_box(vec![1_u8; 64]));
            large
        })
        .collect();
    assert!(resident_mib() >= before + 128);
    drop(large);
    let kept = resident_mib() - before;
    assert!(kept < 16, "{kept} MiB are kept");
    drop(small);
}
