//! Laws of tries and leaf sets: what they hold is a set, whoever holds it and however it came about.

use portico_smst::{Leaf, LeafSet, Path, Plain, PlainTrie, ProveError, Sum, SumDigest, SumTrie, root_of};
use proptest::prelude::*;

use super::given::{Leaves, WEIGHT, leaf_set, leaves, path, sum_trie};

/// All nodes as they would be stored.
fn stored(trie: &SumTrie) -> Vec<(SumDigest, Vec<u8>)> {
    let mut nodes = Vec::new();
    trie.visit_nodes(|digest, _, encoding| nodes.push((*digest, encoding.to_vec())))
        .unwrap();
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_holder_of_the_same_leaves_has_the_same_root(leaves in leaves(0..200), seed in any::<u64>()) {
        let mut shuffled: Vec<_> = leaves.iter().collect();
        shuffled.sort_by_key(|(path, _)| Path::of_key(&[path.as_ref(), &seed.to_be_bytes()].concat()));
        let trie = sum_trie(shuffled.iter().copied());
        let root = sum_trie(&leaves).root();
        prop_assert_eq!(trie.root(), root);
        prop_assert_eq!(leaf_set(shuffled.iter().copied()).root(), root);
        prop_assert_eq!(root_of::<Sum>(trie.leaves().map(|leaf| (*leaf.path(), *leaf.digest()))), root);
        prop_assert_eq!((root.sum(), root.count()), (WEIGHT * leaves.len() as u64, leaves.len() as u64));
    }

    #[test]
    fn a_removed_leaf_leaves_no_trace_and_older_versions_stay(
        leaves in leaves(1..60), pick in any::<prop::sample::Index>(),
    ) {
        let gone = *leaves.keys().nth(pick.index(leaves.len())).unwrap();
        let before = sum_trie(&leaves);
        let (root, mut after) = (before.root(), before.clone());
        prop_assert!(after.remove(&gone));
        prop_assert!(!after.remove(&gone));
        let never = sum_trie(leaves.iter().filter(|(path, _)| **path != gone));
        prop_assert_eq!((after.root(), after.len()), (never.root(), never.len()));
        prop_assert_eq!(after.prove(&gone), never.prove(&gone));
        prop_assert_eq!(stored(&after), stored(&never));
        let copy: SumTrie = before.leaves().cloned().collect();
        prop_assert_eq!((before.root(), copy.root()), (root, root));
    }

    #[test]
    fn edits_in_one_descent_make_the_trie_that_they_make_one_by_one(
        leaves in leaves(0..80), set in proptest::collection::vec((path(), any::<u8>()), 0..60),
        gone in proptest::collection::vec(any::<prop::sample::Index>(), 0..80), absent in proptest::collection::vec(path(), 0..10),
    ) {
        let before = sum_trie(&leaves);
        let root = before.root();
        let removed = gone.iter().filter_map(|pick| leaves.keys().nth(pick.index(leaves.len().max(1))).copied());
        let mut edits: Vec<_> = set.iter().map(|(path, n)| (*path, Some(Leaf::<Sum>::new(*path, vec![*n; 3], WEIGHT)))).collect();
        edits.extend(removed.chain(absent).map(|path| (path, None)));
        edits.sort_by_key(|(path, _)| Path::of_key(path.as_ref())); // any order; a path may be there more than once
        let (mut one_by_one, mut at_once) = (before.clone(), before.clone());
        for (path, leaf) in &edits {
            match leaf {
                Some(leaf) => one_by_one.insert_leaf(leaf.clone()),
                None => one_by_one.remove(path),
            };
        }
        at_once.apply(edits);
        prop_assert_eq!((at_once.len(), at_once.root()), (one_by_one.len(), one_by_one.root()));
        prop_assert!(at_once.leaves().eq(one_by_one.leaves()));
        prop_assert_eq!(stored(&at_once), stored(&one_by_one));
        prop_assert_eq!((before.root(), before.len()), (root, leaves.len()));
    }

    #[test]
    fn neighbours_are_the_next_leaves_on_both_sides(leaves in leaves(0..60), asked in path(), member in any::<bool>()) {
        let asked = leaves.keys().next().copied().filter(|_| member).unwrap_or(asked);
        let trie = sum_trie(&leaves);
        let (before, after) = trie.neighbours(&asked);
        prop_assert_eq!(before.map(Leaf::path), leaves.range(..asked).next_back().map(|(path, _)| path));
        let greater = leaves.keys().find(|path| **path > asked);
        prop_assert_eq!(after.map(Leaf::path), greater);
    }

    #[test]
    fn the_order_of_changes_shows_nowhere(
        leaves in leaves(1..60), passing in leaves(0..20), seed in any::<u64>(), asked in path(),
    ) {
        let straight = sum_trie(&leaves);
        let mut shuffled: Vec<_> = leaves.iter().chain(&passing).collect();
        shuffled.sort_by_key(|(path, _)| Path::of_key(&[path.as_ref(), &seed.to_be_bytes()].concat()));
        let mut winding = sum_trie(shuffled);
        passing.keys().for_each(|path| assert!(winding.remove(path)));
        for (path, value) in leaves.iter().rev() {
            winding.insert(*path, &**value, WEIGHT);
        }
        prop_assert_eq!(winding.root(), straight.root());
        prop_assert_eq!(stored(&winding), stored(&straight));
        for path in leaves.keys().chain(passing.keys()).chain([&asked]) {
            prop_assert_eq!(winding.prove(path).unwrap().to_gob(), straight.prove(path).unwrap().to_gob());
            prop_assert_eq!(winding.prove_closest(path).unwrap().to_gob(), straight.prove_closest(path).unwrap().to_gob());
        }
    }
}

#[test]
fn a_leaf_set_takes_a_path_once() {
    let (path, mut set) = (Path::of_key(b"a"), LeafSet::new(2));
    assert!(set.insert(path, [1; 32], 0));
    assert!(!set.insert(path, [2; 32], 1));
    assert_eq!((set.len(), set.get(&path), set.sum()), (1, Some(0), 2));
    assert_eq!(set.get(&Path::of_key(b"b")), None);
}

#[test]
fn a_leaf_set_grows_past_many_doublings_and_keeps_its_root_up_to_date() {
    let (mut set, mut trie) = (LeafSet::new(1), SumTrie::new());
    for i in 0..5_000u64 {
        let (path, value) = (Path::of_key(&i.to_be_bytes()), i.to_be_bytes());
        trie.insert(path, value, 1);
        assert!(set.insert(path, LeafSet::hash_leaf(&path, &value, 1), i));
        if i % 97 == 0 {
            assert_eq!(set.root(), trie.root(), "after {i}");
        }
    }
    assert_eq!(set.root(), trie.root());
    let paths: Vec<_> = set.leaves().map(|(leaf, _)| leaf.path).collect();
    assert!(paths.is_sorted() && paths.len() == 5_000);
}

#[test]
fn a_leaf_set_of_paths_that_begin_alike_is_right_though_slow() {
    let (mut set, mut trie) = (LeafSet::new(1), SumTrie::new());
    for i in 0..600u64 {
        let mut path = *Path::of_key(&i.to_be_bytes()).as_bytes();
        path[..4].fill([0xff, 0, 0xff, 0x80][usize::try_from(i % 4).unwrap()]);
        let path = Path::new(path);
        trie.insert(path, i.to_be_bytes(), 1);
        let hash = LeafSet::hash_leaf(&path, &i.to_be_bytes(), 1);
        assert!(set.insert(path, hash, i) && !set.insert(path, hash, i));
        assert_eq!((set.get(&path), set.len() as u64), (Some(i), i + 1));
        if i % 7 == 0 {
            assert_eq!(set.root(), trie.root(), "after {i}");
        }
    }
    let paths: Vec<_> = set.leaves().map(|(leaf, _)| leaf.path).collect();
    assert!(paths.iter().eq(trie.leaves().map(Leaf::path)));
}

#[test]
fn a_trie_without_values_proves_with_those_it_is_given() {
    let values: Leaves = (0..50u8).map(|i| (Path::of_key(&[i]), vec![i; 3])).collect();
    let full: PlainTrie = values
        .iter()
        .map(|(path, value)| Leaf::<Plain>::new(*path, &**value))
        .collect();
    let bare: PlainTrie = full
        .leaves()
        .map(|leaf| Leaf::by_digest(*leaf.path(), *leaf.digest()))
        .collect();
    assert_eq!(bare.root(), full.root());
    for path in values.keys() {
        assert_eq!(
            bare.prove_with(path, |path| values.get(path).cloned()),
            full.prove(path)
        );
        assert_eq!(
            bare.prove_closest_with(path, |path| values.get(path).cloned()),
            full.prove_closest(path)
        );
    }
    let asked = values.keys().next().unwrap();
    assert!(matches!(
        bare.prove_closest(asked),
        Err(ProveError::ValueMissing { .. })
    ));
    let wrong = bare.prove_closest_with(asked, |_| Some(b"wrong".to_vec()));
    assert!(matches!(wrong, Err(ProveError::ValueDiffers { .. })));
}

#[test]
fn of_leaves_with_equal_paths_the_last_counts() {
    let path = Path::of_key(b"a");
    let [old, new] = [b"old", b"new"].map(|value| SumDigest::of_leaf(&path, value, 1));
    assert_eq!(root_of::<Sum>([(path, old), (path, new)]), new);
    let mut trie = SumTrie::new();
    assert!(trie.insert(path, *b"old", 1));
    assert!(!trie.insert(path, *b"new", 1));
    assert_eq!((trie.root(), trie.len()), (new, 1));
}
