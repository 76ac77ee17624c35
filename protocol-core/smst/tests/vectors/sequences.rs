//! `sequences`: operations, and the roots and stored nodes that follow.

use std::collections::BTreeSet;

use portico_smst::{LeafSet, NodeKind, Path, Trie, root_of};

use super::file::{File, Op, Sequence, Step};
use super::kind::Kind;

pub(crate) fn check<K: Kind>(file: &File) -> usize {
    file.sequences.iter().for_each(check_one::<K>);
    file.sequences.len()
}

/// The trie after the last step.
pub(crate) fn build<K: Kind>(sequence: &Sequence) -> Trie<K> {
    let mut trie = Trie::new();
    sequence
        .steps
        .iter()
        .for_each(|step| apply(&mut trie, sequence, step));
    trie
}

fn check_one<K: Kind>(sequence: &Sequence) {
    assert_eq!(sequence.spec.sum_trie, K::SUM);
    let mut trie = Trie::<K>::new();
    let mut versions = Vec::new();
    assert_eq!(trie.root().as_ref(), sequence.initial_root.0);
    for (index, step) in sequence.steps.iter().enumerate() {
        apply(&mut trie, sequence, step);
        if let Some(root) = &step.root {
            assert_eq!(trie.root().as_ref(), root.0, "{} step {index}", sequence.name);
            versions.push((trie.clone(), trie.root()));
        }
        if let (Some(sum), Some(count)) = (step.sum, step.count) {
            assert_eq!(K::totals(&trie.root()), Some((sum.0, count.0)));
            assert_eq!(trie.len() as u64, count.0);
        }
    }
    assert_eq!(trie.root().as_ref(), sequence.final_root.0, "{}", sequence.name);
    for (version, root) in versions {
        let leaves: Vec<_> = version.leaves().cloned().collect();
        assert_eq!(
            leaves.into_iter().rev().collect::<Trie<K>>().root(),
            root,
            "an older version changed"
        );
    }
    let leaves: Vec<_> = trie.leaves().map(|leaf| (*leaf.path(), *leaf.digest())).collect();
    assert_eq!(root_of::<K>(leaves.into_iter().rev()), trie.root());
    check_leaf_set(&trie);
    check_nodes(&trie, sequence);
}

fn apply<K: Kind>(trie: &mut Trie<K>, sequence: &Sequence, step: &Step) {
    let path = || sequence.spec.path(&step.key.as_ref().unwrap().0);
    match step.op {
        Op::Update => {
            assert_eq!(step.error, None);
            let value = sequence.spec.value(&step.value.as_ref().unwrap().0);
            let leaf = K::new_leaf(path(), &value, step.weight.map_or(0, |weight| weight.0));
            assert_eq!(trie.get(&path()).is_none(), trie.insert_leaf(leaf.clone()));
            assert_eq!(trie.get(&path()), Some(&leaf));
        }
        Op::Delete => {
            let removed = trie.remove(&path());
            assert_eq!(removed, step.error.is_none(), "{:?}", step.error);
            assert_eq!(trie.get(&path()), None);
        }
        Op::Commit | Op::CommitReimport => assert_eq!(step.error, None),
    }
}

/// A [`LeafSet`] of the same leaves has the same root, when all have the same weight.
fn check_leaf_set<K: Kind>(trie: &Trie<K>) {
    let weights: BTreeSet<_> = trie.leaves().map(|leaf| K::totals(leaf.digest())).collect();
    let Some(Some((weight, _))) = weights.first().copied().filter(|_| weights.len() == 1) else {
        return;
    };
    let mut set = LeafSet::new(weight);
    for leaf in trie.leaves() {
        let hash = leaf.digest().as_ref()[..32].try_into().unwrap();
        assert!(set.insert(*leaf.path(), hash, 0));
    }
    assert_eq!(set.root().as_ref(), trie.root().as_ref());
}

/// Our stored nodes are those of the library. Go leaves some leaf's bits in an extension's path, and after
/// certain deletions an inner node with one child in an extension's place; the digests are the same.
fn check_nodes<K: Kind>(trie: &Trie<K>, sequence: &Sequence) {
    let Some(theirs) = &sequence.nodes_after_commit else {
        return;
    };
    let mut ours = Vec::new();
    trie.visit_nodes(|digest, kind, bytes| ours.push((digest.as_ref().to_vec(), kind, bytes.to_vec())))
        .unwrap();
    let history = sequence.name == "identity_single_child_inner";
    assert!(history || ours.len() == theirs.len(), "{}", sequence.name);
    for node in theirs {
        let kind = match node.kind.as_str() {
            "leaf" => NodeKind::Leaf,
            "inner" => NodeKind::Inner,
            "extension" => NodeKind::Extension,
            kind => panic!("unknown kind {kind}"),
        };
        let found = ours.iter().any(|(digest, our_kind, bytes)| {
            *digest == node.digest.0 && *our_kind == kind && same(kind, bytes, &node.preimage.0)
        });
        let single_child = history && kind == NodeKind::Inner && has_empty_child::<K>(&node.preimage.0);
        assert!(
            found || single_child,
            "{}: {} {:?}",
            sequence.name,
            node.kind,
            node.preimage
        );
    }
}

fn same(kind: NodeKind, ours: &[u8], theirs: &[u8]) -> bool {
    if kind != NodeKind::Extension {
        return ours == theirs;
    }
    let path = |bytes: &[u8]| Path::new(bytes[3..35].try_into().unwrap()).prefix(bytes[2].into());
    ours[..3] == theirs[..3] && path(ours) == path(theirs) && ours[35..] == theirs[35..]
}

fn has_empty_child<K: Kind>(inner: &[u8]) -> bool {
    let (left, right) = inner[1..=2 * K::DIGEST_LEN].split_at(K::DIGEST_LEN);
    left == K::EMPTY.as_ref() || right == K::EMPTY.as_ref()
}
